"""What the kernel permanently refuses to this process and all that it starts (Linux, x86-64 and aarch64).

A seccomp filter sees a system call's number and its arguments, but nothing that they point to.  So it can tell an
internet socket from a Unix socket, but not one Unix socket from another.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_ARCHITECTURES = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41,
            "connect": 42,
            "clone": 56,
            "fork": 57,
            "vfork": 58,
            "execve": 59,
            "ptrace": 101,
            "process_vm_writev": 311,
            "execveat": 322,
            "io_uring_setup": 425,
            "clone3": 435,
            "pidfd_getfd": 438,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": 198,
            "connect": 203,
            "clone": 220,
            "execve": 221,
            "ptrace": 117,
            "process_vm_writev": 271,
            "execveat": 281,
            "io_uring_setup": 425,
            "clone3": 435,
            "pidfd_getfd": 438,
        },
    ),
}
"""By ``uname``'s machine name: the kernel's number for the architecture, and its system call numbers."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in the kernel's ``struct seccomp_data``; for an argument, the lower half."""
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32 = 0x40000000
_PR_SET_NO_NEW_PRIVS, _SECCOMP_SET_MODE_FILTER, _TSYNC = 38, 1, 1
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_AF_UNIX = 1
_CLONE_THREAD = 0x10000


@dataclass(frozen=True)
class Rule:
    """A system call to refuse."""

    call: str
    error: int = errno.EACCES
    """The error that it fails with."""
    unless_equal: int | None = None
    """Allowed if its first argument equals this."""
    unless_bits: int | None = None
    """Allowed if its first argument has one of these bits."""


NO_NETWORK = (Rule("socket", unless_equal=_AF_UNIX), Rule("io_uring_setup", errno.ENOSYS))
"""Only Unix sockets, and nothing that opens others unseen."""
NO_CHILDREN = (
    Rule("execve"),
    Rule("execveat"),
    Rule("fork"),
    Rule("vfork"),
    Rule("clone", unless_bits=_CLONE_THREAD),
    Rule("clone3", errno.ENOSYS),  # its flags are in memory; if told that it does not exist, the C library uses clone
)
"""No new processes; threads are allowed."""
NO_MEDDLING = (Rule("ptrace"), Rule("process_vm_writev"), Rule("pidfd_getfd"))
"""No access to other processes of the same user."""


def available() -> bool:
    """Return whether this kernel can be asked at all."""
    return sys.platform == "linux" and platform.machine() in _ARCHITECTURES and sys.maxsize > 2**32


def refuse(rules: Sequence[Rule]) -> bool:
    """Make the kernel refuse these permanently, for all threads.

    Returns:
        False if that is not possible: another platform, or a kernel or a container that does not allow it.
    """
    if not available():
        return False
    program = _program(rules)
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(program, len(program))
    filter_ = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions)), 16
    )
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    number = _SECCOMP[platform.machine()]
    # With TSYNC it returns the id of a thread that could not get the same filter.
    return bool(libc.syscall(number, _SECCOMP_SET_MODE_FILTER, _TSYNC, ctypes.byref(filter_)) == 0)


def _program(rules: Sequence[Rule]) -> bytes:
    """Return the rules as the kernel's instructions (``struct sock_filter``)."""
    architecture, calls = _ARCHITECTURES[platform.machine()]
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, architecture, yes=1),
        _instruction(_RETURN, _ERRNO | errno.EACCES),  # another architecture's system calls have other numbers
        _instruction(_LOAD, _NUMBER),
    ]
    if platform.machine() == "x86_64":
        code += [_instruction(_AT_LEAST, _X32, no=1), _instruction(_RETURN, _ERRNO | errno.ENOSYS)]
    for rule in rules:
        if rule.call in calls:
            code += _refusal(calls[rule.call], rule)
    code.append(_instruction(_RETURN, _ALLOW))
    return b"".join(code)


def _refusal(number: int, rule: Rule) -> list[bytes]:
    refused = _instruction(_RETURN, _ERRNO | rule.error)
    if rule.unless_equal is not None:
        condition = _instruction(_EQUAL, rule.unless_equal, no=1)
    elif rule.unless_bits is not None:
        condition = _instruction(_ANY_BIT, rule.unless_bits, no=1)
    else:
        return [_instruction(_EQUAL, number, no=1), refused]
    return [
        _instruction(_EQUAL, number, no=4),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        condition,
        _instruction(_RETURN, _ALLOW),
        refused,
    ]


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """Return one instruction; `yes` and `no` are the numbers of instructions to skip after a comparison."""
    return struct.pack("HBBI", code, yes, no, value)


def die_with_parent(signal: int) -> None:
    """Receive `signal` when the thread that started this process ends, if the platform supports it.

    Must be called in the new process after it has changed its user, because that resets it.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal, 0, 0, 0)
        if os.getppid() != parent:  # the parent has already ended
            os.kill(os.getpid(), signal)
