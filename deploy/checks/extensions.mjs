// Every rendered object of KEDA and of the Prometheus operator against the schema of its custom resource.
//   node extensions.mjs PYTHON NODE_MODULES FOLDER
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";

const [python, modules, folder] = process.argv.slice(2);
// By its path: these lie in a folder of tools, where no module of ours is.
const model = (name) => import(path.resolve(modules, "@kubernetes-models", name, "index.js"));
const asJson = "import json, sys, yaml; print(json.dumps([o for o in yaml.safe_load_all(open(sys.argv[1])) if o]))";
const models = {
  "keda.sh/v1alpha1": await model("keda/keda.sh/v1alpha1"),
  "monitoring.coreos.com/v1": await model("prometheus-operator/monitoring.coreos.com/v1"),
};

const faults = [];
let count = 0;
for (const file of readdirSync(folder).filter((name) => name.endsWith(".yaml"))) {
  const objects = JSON.parse(execFileSync(python, ["-c", asJson, path.join(folder, file)], { maxBuffer: 1 << 28 }));
  for (const object of objects.filter((one) => /coreos|keda/.test(one.apiVersion))) {
    count += 1;
    const Model = models[object.apiVersion]?.[object.kind];
    if (!Model) {
      faults.push(`${file}: nothing knows ${object.apiVersion} ${object.kind}`);
      continue;
    }
    try {
      new Model(object).validate();
    } catch (error) {
      faults.push(`${file}: ${object.kind}/${object.metadata.name}: ${error.message}`);
    }
  }
}
if (count === 0) faults.push("there is no such object");
console.log(faults.join("\n") || `${count} objects are valid for KEDA and the Prometheus operator`);
process.exit(faults.length ? 1 : 0);
