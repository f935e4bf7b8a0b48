"""A worker to begin with: what the compose file runs as worker-py."""

import jobforge as jf

app = jf.JobForge()


@app.task("hello.python", queue="python")
async def hello(ctx: jf.Context, name: str = "world") -> str:
    """Greets somebody: jobforge job enqueue hello.python '{"name": "Ada"}' --queue python --wait"""
    return f"hello {name}"
