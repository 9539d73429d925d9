"""Makes a running process do a system call of the test's choice, as code that
took it over would (x86-64 only)."""
import ctypes
import os
import platform
import signal

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                        ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long
PEEK, POKE, CONT, STEP, GETREGS, SETREGS, ATTACH, DETACH = (2, 5, 7, 9, 12, 13,
                                                            16, 17)
SYSCALL = {"open": 2, "socket": 41, "execve": 59, "kill": 62, "openat": 257,
           "setuid": 105, "ptrace": 101, "fork": 57}


class Regs(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax "
        "rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()]


def ptrace(request, pid, addr=None, data=None):
    result = LIBC.ptrace(request, pid, addr, data)
    error = ctypes.get_errno()
    if result == -1 and request not in (PEEK,):
        raise OSError(error, f"ptrace {request}: {os.strerror(error)}")
    return result


def system_call(pid, name, text=b"", *args):
    """The result (-errno for an error), or None if the kernel ended the
    process for it. An argument of "text" is the address of text."""
    if platform.machine() != "x86_64":
        pytest.skip("only for x86-64")
    ptrace(ATTACH, pid)
    os.waitpid(pid, 0x40000000)  # __WALL
    regs = Regs()
    ptrace(GETREGS, pid, None, ctypes.byref(regs))
    # It sleeps in a system call: the instruction is just behind it.
    call = Regs.from_buffer_copy(regs)
    call.rip -= 2
    call.orig_rax, call.rax = (1 << 64) - 1, SYSCALL[name]
    address = (regs.rsp - 4096) & ~15
    text += bytes(16 - len(text) % 8)
    for at in range(0, len(text), 8):
        ptrace(POKE, pid, address + at,
               int.from_bytes(text[at:at + 8], "little"))
    args = [address if arg == "text" else arg for arg in args]
    call.rdi, call.rsi, call.rdx, call.r10 = (args + [0] * 4)[:4]
    ptrace(SETREGS, pid, None, ctypes.byref(call))
    ptrace(STEP, pid)
    _, status = os.waitpid(pid, 0x40000000)
    if os.WIFSIGNALED(status) or os.WSTOPSIG(status) == signal.SIGSYS:
        return None
    ptrace(GETREGS, pid, None, ctypes.byref(call))
    ptrace(SETREGS, pid, None, ctypes.byref(regs))
    ptrace(DETACH, pid)
    return ctypes.c_longlong(call.rax).value
