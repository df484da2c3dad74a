# SPDX-License-Identifier: GPL-2.0-or-later
"""A small QMP client: any emulator's monitor on a unix or TCP socket."""
import json
import os
import select
import socket
import time


class QMPError(Exception):
    """The monitor answered with an error, or went away."""

    def __init__(self, message, error_class='GenericError'):
        super().__init__(message)
        self.error_class = error_class


def connect_socket(address, timeout):
    """Connect to PATH, unix:PATH or tcp:HOST:PORT, waiting for the socket to appear."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if address.startswith('tcp:'):
                host, port = address[4:].rsplit(':', 1)
                return socket.create_connection((host, int(port)), timeout)
            s = socket.socket(socket.AF_UNIX)
            s.connect(address[5:] if address.startswith('unix:') else address)
            return s
        except OSError as e:
            if time.monotonic() > deadline:
                raise QMPError(f'{address}: {e.strerror or e}') from e
            time.sleep(0.005)


class QMP:
    """One connection.  Events are kept in .events as (seconds, name, data)."""

    def __init__(self, address, timeout=5, on_event=None):
        self.address, self.timeout, self.on_event = address, timeout, on_event
        self.events, self.buf = [], b''
        self.sock = connect_socket(address, timeout)
        self.sock.setblocking(False)
        self.greeting = self._read(timeout)
        if 'QMP' not in self.greeting:
            raise QMPError(f'{address}: no QMP greeting: {self.greeting}')
        self.cmd('qmp_capabilities')

    def close(self):
        self.sock.close()

    def _read(self, timeout):
        deadline = time.monotonic() + timeout
        while b'\n' not in self.buf:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise QMPError(f'{self.address}: no answer within {timeout} s')
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                continue
            except OSError as e:
                raise QMPError(f'{self.address}: {e.strerror or e}') from e
            if not data:
                raise QMPError(f'{self.address}: the monitor closed the connection')
            self.buf += data
        line, self.buf = self.buf.split(b'\n', 1)
        return json.loads(line)

    def _event(self, msg):
        stamp = msg['timestamp']['seconds'] + msg['timestamp']['microseconds'] / 1e6
        event = (stamp, msg['event'], msg.get('data', {}))
        self.events.append(event)
        if self.on_event:
            self.on_event(*event)

    def cmd(self, name, args=None, timeout=None, **kwargs):
        """Execute; keyword arguments have - for _.  Raises QMPError on an error reply."""
        args = dict(args or {}, **{k.replace('_', '-'): v for k, v in kwargs.items()})
        request = {'execute': name}
        if args:
            request['arguments'] = args
        data = json.dumps(request).encode() + b'\n'
        while data:
            try:
                data = data[self.sock.send(data):]
            except BlockingIOError:
                select.select([], [self.sock], [], 1)
            except OSError as e:
                raise QMPError(f'{self.address}: {e.strerror or e}') from e
        while True:
            msg = self._read(timeout or self.timeout)
            if 'event' in msg:
                self._event(msg)
            elif 'error' in msg:
                raise QMPError(f'{name}: {msg["error"]["desc"]}', msg['error']['class'])
            elif 'return' in msg:
                return msg['return']

    def poll(self):
        """Take in what has arrived, without waiting."""
        while b'\n' in self.buf or select.select([self.sock], [], [], 0)[0]:
            msg = self._read(1)
            if 'event' in msg:
                self._event(msg)

    def wait_event(self, name, timeout=10, match=None):
        """The next (or an earlier, not yet waited for) event of that name."""
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            while seen < len(self.events):
                e = self.events[seen]
                seen += 1
                if e[1] == name and (match is None or match(e[2])):
                    self.events.remove(e)
                    return e
            if time.monotonic() > deadline:
                raise QMPError(f'{self.address}: no {name} event within {timeout} s')
            msg = self._read(max(0.01, deadline - time.monotonic()))
            if 'event' in msg:
                self._event(msg)

    def hmp(self, line):
        return self.cmd('human-monitor-command', {'command-line': line}).replace('\r\n', '\n')

    def capabilities(self, **caps):
        """Switch capabilities: keyword names have - for _."""
        self.cmd('migrate-set-capabilities', {'capabilities': [
            {'capability': k.replace('_', '-'), 'state': v} for k, v in caps.items()]})

    def has_capability(self, name):
        return any(c['capability'] == name for c in self.cmd('query-migrate-capabilities'))


def stock_peer(qmp):
    """Is the emulator behind the monitor a stock QEMU rather than Ferry?"""
    return 'ferry' not in qmp.greeting['QMP']['version'].get('package', '').lower()


def default_runtime_dir():
    return os.environ.get('XDG_RUNTIME_DIR') or '/tmp'
