#!/usr/bin/python3
"""What the keeper under test starts: gives its end of the pair to the test, and does as it is told."""

import os
import socket
import sys

control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
control.connect(sys.argv[3])
socket.send_fds(control, [f"{os.getpid()} {' '.join(sys.argv[1:])}".encode()], [3])
while True:
    data, fds, _, _ = socket.recv_fds(control, 100, 1)
    command, _, argument = data.decode().partition(" ")
    if command == "child":  # It ends with that code when its pipe is closed.
        child = os.fork()
        if child == 0:
            control.close()
            os.close(3)
            os.read(fds[0], 1)
            os._exit(int(argument))
        os.close(fds[0])
        control.send(str(child).encode())
    elif command == "exit":
        os._exit(int(argument))
    elif not command:
        os._exit(99)
