"""Process 1 of a lab: starts the command, reaps every orphan, passes
SIGTERM and SIGINT on, and ends with the command's status. When it ends the
kernel kills whatever is left in the lab."""
import os
import signal
import sys


def main():
    child = os.fork()
    if child == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, lambda n, _: os.kill(child, n))
    while True:
        pid, status = os.wait()
        if pid == child:
            sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status)
                     else os.WEXITSTATUS(status))


main()
