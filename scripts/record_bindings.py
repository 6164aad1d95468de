"""Record the names and signatures of TensorRT's Python bindings, for the fake that tests run on.

NVIDIA's bindings are on PyPI; the libraries behind them are not. The bindings import all the same
when the libraries are replaced by empty ones that define the few C functions asked for, and then
tell every class, member and signature. Needs a C compiler and `nm`; runs on Linux.

    pip download --no-deps tensorrt_cu13_bindings
    python scripts/record_bindings.py tensorrt_cu13_bindings-*.whl tests/engine/bindings

TensorRT-RTX, which PyPI has whole, is recorded as it is installed:

    python scripts/record_bindings.py tensorrt_rtx tests/engine/bindings
"""

import argparse
import importlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

CLASSES = (
    "Builder", "EngineInspector", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "ILogger",
    "INetworkDefinition", "IOptimizationProfile", "IPluginRegistry", "IProgressMonitor",
    "IRuntimeCache", "IRuntimeConfig", "ITensor", "ITimingCache", "OnnxParser", "ParserError",
    "Runtime",
)  # fmt: skip
"""Those that are there; IRuntimeCache is TensorRT-RTX's, and IRuntimeConfig since TensorRT 11."""
ENUMS = (
    "BuilderFlag", "DataType", "HardwareCompatibilityLevel", "LayerInformationFormat",
    "MemoryPoolType", "NetworkDefinitionCreationFlag", "ProfilingVerbosity", "TensorIOMode",
    "TensorLocation",
)  # fmt: skip
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")


def stand_in(folder: Path) -> None:
    """Make libraries of the names that the bindings want, with the functions that they call."""
    bindings = folder / "tensorrt_bindings" / "tensorrt.so"
    wanted = run("nm", "-D", "--undefined-only", str(bindings))
    functions = re.findall(r"U (\w+_INTERNAL|get\w*Plugin\w*|getNv\w+|initLib\w+)$", wanted, re.M)
    needed = re.findall(r"\[lib(\w+)\.so\.(\d+)\]", run("readelf", "-d", str(bindings)))
    for name, major in needed:
        if name not in LIBRARIES:
            continue
        source = folder / f"{name}.c"
        calls = functions if name == "nvinfer" else []
        source.write_text("".join(f"void *{call}(void) {{ return 0; }}\n" for call in calls))
        library = f"lib{name}.so.{major}"
        run("cc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(folder / library),
            str(source))  # fmt: skip


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def parameters(doc: str, method: str) -> list[list[str]]:
    """List each overload's parameters after self; one with a default ends in `?`."""
    found = re.findall(rf"^(?:\d+\. )?{method}\(self: [\w.:]+(?:, )?(.*)\) -> ", doc, re.M)
    return [
        [name + ("?" if default else "") for name, default in _names(signature)]
        for signature in found
    ]


def _names(signature: str) -> list[tuple[str, bool]]:
    depth, parts = 0, [""]
    for letter in re.sub(r"<[^<>]*>", "value", signature):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [(p.split(":")[0].strip(), "=" in p) for p in parts if p.strip()]


def surface(trt: Any) -> dict[str, Any]:
    """Describe the bindings' classes and enums."""
    return {
        "version": trt.__version__,
        "classes": {n: members(getattr(trt, n)) for n in CLASSES if hasattr(trt, n)},
        "enums": {name: sorted(getattr(trt, name).__members__) for name in ENUMS}
        | {"ILogger.Severity": sorted(trt.ILogger.Severity.__members__)},
    }


def members(of: Any) -> dict[str, Any]:
    """Map methods to their overloads, properties to whether they can be set."""
    described: dict[str, Any] = {}
    for name in sorted(dir(of)):
        value = getattr(of, name)
        if isinstance(value, property):
            described[name] = value.fset is not None
        elif callable(value) and (name == "__init__" or not name.startswith("_")):
            overloads = parameters(value.__doc__ or "", name)
            if overloads:
                described[name] = overloads
    return described


def from_wheel(wheel: Path) -> dict[str, Any]:
    """Describe the bindings of a wheel, in a process whose libraries are stand-ins."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        stand_in(Path(folder))
        code = (
            "import json, sys; sys.path[:0] = sys.argv[1:]; "
            "import tensorrt_bindings, record_bindings as r; "
            "print(json.dumps(r.surface(tensorrt_bindings), indent=1))"
        )
        command = [sys.executable, "-c", code, folder, str(Path(__file__).parent)]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env={"LD_LIBRARY_PATH": folder}
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("of", help="a wheel of TensorRT's bindings, or tensorrt_rtx as installed")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    rtx = args.of == "tensorrt_rtx"
    recorded = surface(importlib.import_module(args.of)) if rtx else from_wheel(Path(args.of))
    path = args.folder / f"{'tensorrt_rtx' if rtx else 'tensorrt'}-{recorded['version']}.json"
    path.write_text(json.dumps(recorded, indent=None, separators=(",", ":"), sort_keys=True) + "\n")
    print(f"{path}: {sum(map(len, recorded['classes'].values()))} members")


if __name__ == "__main__":
    main()
