"""What a host runs to tell which target it is: one line, for any Python from 2.7 on.

It needs nothing but that Python, changes nothing, and prints one line of JSON.
"""

import base64
import zlib

SCRIPT = r"""# Prints what kind of host this Python is, as one line of JSON. It changes nothing.
import glob, json, os, platform, re, struct, subprocess, sys, sysconfig


def told_by(command, **variables):
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=dict(os.environ, **variables),
        )
        return process.communicate()[0].decode("ascii", "replace")
    except (OSError, ValueError):
        return ""


def linux_platform():
    machine = platform.machine().lower()
    if struct.calcsize("P") == 4:
        machine = {"x86_64": "i686", "aarch64": "armv7l", "armv8l": "armv7l"}.get(machine, machine)
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        libc = ""
    if not libc:
        try:
            import ctypes
            version = ctypes.CDLL(None).gnu_get_libc_version
            version.restype = ctypes.c_char_p
            libc = "glibc " + version().decode("ascii")
        except Exception:
            pass
    found = re.match(r"glibc (\d+)\.(\d+)", libc)
    if found:
        return "manylinux_%s_%s_%s" % (found.groups() + (machine,))
    for loader in sorted(glob.glob("/lib/ld-musl-*.so.1")):
        found = re.search(r"Version (\d+)\.(\d+)", told_by([loader]))
        if found:
            return "musllinux_%s_%s_%s" % (found.groups() + (machine,))
    return "linux_" + machine


def platform_name():
    if sys.platform == "darwin":
        # Old Pythons are told 10.16 by newer systems, unless they ask so.
        told = told_by(["/usr/bin/sw_vers", "-productVersion"], SYSTEM_VERSION_COMPAT="0")
        numbers = re.findall(r"\d+", told or platform.mac_ver()[0]) + ["0"]
        return "macosx_%s_%s_%s" % (numbers[0], numbers[1], platform.machine())
    if os.name == "nt":
        return sysconfig.get_platform().replace("-", "_")
    return linux_platform()


def version_text(info):
    text = "%d.%d.%d" % tuple(info[:3])
    if info[3] != "final":
        text += {"alpha": "a", "beta": "b", "candidate": "rc"}[info[3]] + str(info[4])
    return text


def abi_name(implementation):
    digits = "%d%d" % sys.version_info[:2]
    if implementation != "cpython":
        parts = (sysconfig.get_config_var("SOABI") or implementation + digits).split("-")
        return "_".join(parts[:2]).replace(".", "_")
    flags = getattr(sys, "abiflags", None)
    if flags is None:
        flags = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
        if sys.version_info < (3, 8):
            flags = "m"
        if sys.version_info < (3, 3) and sys.maxunicode > 0xFFFF:
            flags += "u"
    return "cp" + digits + flags


def record():
    info = getattr(sys, "implementation", None)
    implementation = info.name if info else platform.python_implementation().lower()
    try:
        import pip
        installer = {"name": "pip", "version": pip.__version__}
    except Exception:
        installer = None
    return {
        "python": version_text(sys.version_info),
        "implementation": implementation,
        "abi": abi_name(implementation),
        "platform": platform_name(),
        "installer": installer,
        "markers": {
            "implementation_name": info.name if info else "",
            "implementation_version": version_text(info.version) if info else "0",
            "os_name": os.name,
            "platform_machine": platform.machine(),
            "platform_python_implementation": platform.python_implementation(),
            "platform_release": platform.release(),
            "platform_system": platform.system(),
            "platform_version": platform.version(),
            "python_full_version": platform.python_version(),
            "python_version": "%d.%d" % sys.version_info[:2],
            "sys_platform": sys.platform,
        },
    }


print(json.dumps(record(), sort_keys=True))
"""
"""For people who want to read what they run."""


def one_line() -> str:
    """The same as a command for a terminal: of a Unix, or cmd.exe, or PowerShell.

    So there is nothing in it but letters, digits and what all of them leave alone within quotes.
    """
    packed = base64.b64encode(zlib.compress(SCRIPT.encode("ascii"), 9)).decode("ascii")
    return f"python -c \"import base64,zlib;exec(zlib.decompress(base64.b64decode('{packed}')))\""
