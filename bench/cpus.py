"""Which kind of CPU this is: the name of its folder below bench/results, and what tables and pictures call it.

``python bench/cpus.py`` prints the first. It follows from vendor, family and model as the system shows them, and so
is the same on every machine with that CPU; a virtual machine may show another model than the chip has.
Imports only the standard library, so that it can be asked before anything else is imported.
"""

import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
# What people call a kind of CPU, by its folder's name; one that is not here is called by that name.
TITLES = {
    "amd-family-25-model-1": "AMD Zen 3",
    "amd-family-25-model-17": "AMD Zen 4",
    "amd-family-26-model-2": "AMD Zen 5",
    "intel-family-6-model-143": "Intel Sapphire Rapids",
    # Its number is that of Rocket Lake; measured were two 512-bit multiply-add units and 2 MB of L2 a core.
    "intel-family-6-model-167": "Intel Granite Rapids class",
    "intel-family-6-model-173": "Intel Granite Rapids",
    "intel-family-6-model-207": "Intel Emerald Rapids",
}
_VENDORS = {"AuthenticAMD": "amd", "GenuineIntel": "intel", "HygonGenuine": "hygon", "0x41": "arm"}


def kind() -> str:
    """This CPU's folder, such as amd-family-25-model-17."""
    return kind_of(system_facts())


def kind_of(facts: Mapping[str, str]) -> str:
    """The folder of a CPU by its facts: those of /proc/cpuinfo, under the names that they have there.

    Without family and model, it is made of the name, or of the architecture.
    """
    vendor = facts.get("vendor_id") or facts.get("CPU implementer", "")
    family, model = facts.get("cpu family"), facts.get("model")
    if vendor and family and model:
        return _plain(f"{_VENDORS.get(vendor, vendor)} family {family} model {model}")
    if vendor and (part := facts.get("CPU part")):
        return _plain(f"{_VENDORS.get(vendor, vendor)} part {part}")
    return _plain(facts.get("model name") or platform.machine() or "unknown")


def _plain(text: str) -> str:
    """Small letters, digits and hyphens only: good for a folder on any system."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def title(kind: str) -> str:
    """What people call it."""
    return TITLES.get(kind, kind)


def name() -> str:
    """The processor as the system names it, with family and model, which some leave out; else the architecture."""
    found = system_facts()
    if "model name" not in found:
        return platform.processor() or platform.machine()
    numbers = [f"{short} {found[key]}" for key, short in (("cpu family", "family"), ("model", "model")) if key in found]
    return found["model name"] + (f" ({', '.join(numbers)})" if numbers else "")


def folder() -> Path:
    """Where the results of this CPU are."""
    return RESULTS / kind()


def system_facts() -> dict[str, str]:
    """Of the first CPU, under the names that Linux has for them; empty where the system says nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return _of_mac() if platform.system() == "Darwin" else of_windows(platform.processor())
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def of_windows(processor: str) -> dict[str, str]:
    """From such as "Intel64 Family 6 Model 167 Stepping 1, GenuineIntel", which Windows has in its environment."""
    found = re.match(r".*Family (\d+) Model (\d+).*, (\w+)$", processor)
    return dict(zip(("cpu family", "model", "vendor_id"), found.groups(), strict=True)) if found else {}


def _of_mac() -> dict[str, str]:
    """By sysctl; an Apple CPU has a name only."""
    names = {"vendor": "vendor_id", "family": "cpu family", "model": "model", "brand_string": "model name"}
    found = {}
    for name, key in names.items():
        command = ["sysctl", "-n", f"machdep.cpu.{name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if value := done.stdout.strip():
            found[key] = value
    return found


if __name__ == "__main__":
    print(kind())
