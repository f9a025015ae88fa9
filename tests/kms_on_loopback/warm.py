"""Begins the real AWS CLI, or ministack, in a process that has imported it already.

Half a second of each start of these programs is Python that reads modules: too much for a test that starts one
twenty times. Here they are read once. Each start is a copy of this process (fork), with the arguments,
environment, directory and open files of whoever asks; nothing that one start does is seen by the next.

    warm.py SOCKET aws         answers warm_aws.py
    warm.py SOCKET ministack   answers the tests; SERVICES is set as for ministack itself

A start ends when the connection does that asked for it, and all of them when this process does: when its standard
input ends, which is with the program of the tests.
"""

import array
import ctypes
import gc
import io
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time

LONGEST = 1 << 20
PR_SET_PDEATHSIG = 1
importing = {}  # variables that a program sets when it is imported


def warm_aws():
    """Reads all that a call of KMS needs, by a call that finds nobody."""
    from awscli.botocore.loaders import Loader
    from awscli.clidriver import main

    look, found = Loader.list_available_services, {}

    def list_available_services(self, kind):
        """Two thousand directories, the same at each start."""
        if kind not in found:
            found[kind] = look(self, kind)
        return found[kind]

    Loader.list_available_services = list_available_services
    importing["AWS_DATA_PATH"] = os.environ["AWS_DATA_PATH"]
    os.environ.update(AWS_ACCESS_KEY_ID="1" * 12, AWS_SECRET_ACCESS_KEY="-", AWS_DEFAULT_REGION="eu-west-1")
    os.environ.update(AWS_MAX_ATTEMPTS="1", AWS_EC2_METADATA_DISABLED="true", AWS_PAGER="")
    for call in (["kms", "describe-key", "--key-id", "-"], ["sts", "get-caller-identity"]):
        sys.argv = ["aws", *call, "--endpoint-url", "http://127.0.0.1:1"]
        shown, sys.stderr = sys.stderr, io.StringIO()
        main()
        sys.stderr = shown
    return main


def warm_ministack():
    import hypercorn.asyncio  # noqa: F401
    import ministack.services.kms  # noqa: F401
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa  # noqa: F401
    from ministack.app import main

    return main


def received(connection):
    """The open files and the words of a request; `None` if whoever asked is gone."""
    files = array.array("i")
    text, ancillary, _, _ = connection.recvmsg(LONGEST, socket.CMSG_SPACE(3 * files.itemsize))
    for _, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            files.frombytes(data)
    while not text.endswith(b"\0\0"):
        more = connection.recv(LONGEST)
        if not more:
            return None
        text += more
    return list(files), text[:-2].split(b"\0")


def become(files, words):
    """Takes over what whoever asked is: its files, its directory, its environment, its arguments."""
    directory, umask, count, *rest = words
    arguments, variables = rest[: int(count)], rest[int(count) :]
    os.chdir(directory)
    os.umask(int(umask, 8))
    if not files:
        files = [os.open("/dev/null", os.O_RDONLY), *2 * [os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)]]
    for wanted, given in enumerate(files):
        os.dup2(given, wanted)
    os.environ.clear()
    os.environb.update(variable.split(b"=", 1) for variable in variables)
    os.environ.update(importing)
    time.tzset()
    sys.argv = [os.fsdecode(argument) for argument in arguments]
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)


def run(main):
    """Its exit code, as Python itself would end."""
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120
    return int(code or 0) & 255


def end_with(connection):
    connection.recv(1)
    os._exit(1)


def answer(connection, main):
    asked = received(connection)
    if asked is None:
        return
    become(*asked)
    threading.Thread(target=end_with, args=[connection], daemon=True).start()
    code = run(main)
    connection.sendall(b"%d\n" % code)


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main():
    path, what = sys.argv[1:]
    begin = {"aws": warm_aws, "ministack": warm_ministack}[what]()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen(64)
    os.rename(path + ".new", path)  # who finds it can connect
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the copies
    gc.freeze()
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            shutil.rmtree(os.path.dirname(path), ignore_errors=True)
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            die_with_parent()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            answer(connection, begin)
            os._exit(0)
        connection.close()


main()
