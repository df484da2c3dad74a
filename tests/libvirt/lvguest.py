# SPDX-License-Identifier: GPL-2.0-or-later
"""The test guest as a libvirt domain, and talking to it on its serial line.

docs/developer/guests.md tells what the guest does.  Here its memory and its count are asked for
from inside: "s" prints a digest that changes as long as it runs, "f" checks every word.
"""
import os
import select
import socket
import sys
import time
import uuid

from lvhosts import FERRY, TOP

sys.path.insert(0, os.path.join(TOP, 'scripts'))
from ferryguest import Guest as GuestParameters  # noqa: E402

IMAGE = os.environ.get('FERRY_GUEST_IMAGE',
                       os.path.join(TOP, 'build', 'tests', 'guests', 'guest.img'))
USED = 48 << 20  # the memory that the guest uses
INTERVAL = 100_000    # ticks between two pages: some 100 MiB a second, more than a limited migration

XML = '''<domain type='{type}'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='{machine}'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  {more}
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source file='{image}'/>
      <target dev='hda' bus='ide'/>
    </disk>
    <controller type='usb' model='none'/>
    <serial type='unix'><source mode='bind' path='/run/ferry/{name}'/><target port='0'/></serial>
    <video><model type='none'/></video>
    <memballoon model='none'/>
    {devices}
  </devices>
</domain>
'''


class GuestError(Exception):
    """The guest does not answer, or its memory is not what it should be."""


def have_kvm():
    return os.access('/dev/kvm', os.R_OK | os.W_OK)


class Domain:
    """A domain with the test guest; its disk is seen by both hosts."""

    def __init__(self, pair, name='mover', accel=None, machine='pc', memory=96, vcpus=1,
                 used=USED, interval=INTERVAL, more='', devices='', replace=()):
        self.pair, self.name = pair, name
        image = f'{pair.folder}/{name}.img'
        GuestParameters(used, interval=interval, flags=2).image(IMAGE, image)
        self.xml = XML.format(
            type=accel or ('kvm' if have_kvm() else 'qemu'), name=name, machine=machine,
            uuid=uuid.uuid5(uuid.NAMESPACE_DNS, name), memory=memory, vcpus=vcpus,
            emulator=FERRY, image=image, more=more, devices=devices)
        for old, new in replace:
            assert old in self.xml, old
            self.xml = self.xml.replace(old, new)
        self.file = f'{pair.folder}/{name}.xml'
        with open(self.file, 'w', encoding='ascii') as f:
            f.write(self.xml)

    def start(self, host=None):
        """Transient, on the first host unless said otherwise; the guest has filled its memory."""
        host = host or self.pair.a
        host.virsh('create', self.file)
        self.runs_on(host)
        return self

    def runs_on(self, host, seconds=30):
        """The guest goes on there: its count changes, and it is content with its memory."""
        with Serial(host, self.name, seconds) as line:
            line.moves()
            line.check_memory()
            line.moves()


class Serial:
    """The guest's serial line, a socket of the host that it runs on."""

    def __init__(self, host, name, seconds=30):
        self.host, self.name, self.deadline = host, name, time.monotonic() + seconds
        self.text = b''
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(host.path(f'/run/ferry/{name}'))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def _fail(self, what):
        state = self.host.state(self.name)
        raise GuestError(f'{self.name} on {self.host.letter} ({state or "no such domain"}) {what}; it '
                         f'said {self.text[-60:]!r}')

    def _read(self, seconds):
        """More text, if some comes in time."""
        if select.select([self.socket], [], [], seconds)[0]:
            data = self.socket.recv(4096)
            if not data:
                self._fail('hung up')
            self.text += data
            if b'E' in self.text:
                self._fail('found an error in its memory')
            return True
        return False

    def ask(self, question, answer, length=1):
        """
        Ask until there is an answer: `answer` and what follows it, `length` bytes in all.  A
        question that comes before the guest listens, or that a migration swallowed, is put again.
        """
        while time.monotonic() < self.deadline:
            self.socket.send(question)
            again = time.monotonic() + 5
            while time.monotonic() < again:
                at = self.text.find(answer)
                if at >= 0 and len(self.text) >= at + length:
                    reply = self.text[at:at + length]
                    self.text = b''
                    return reply
                self._read(0.5)
        return self._fail(f'does not answer {question!r}')

    def moves(self):
        """Its digest changes."""
        first = self.ask(b's', b'S', 17)
        while self.ask(b's', b'S', 17) == first:
            if time.monotonic() > self.deadline:
                self._fail('stands still')
            time.sleep(0.02)

    def check_memory(self):
        """It stops, checks every word of its memory and goes on."""
        self.ask(b'f', b'F')
        self.ask(b'g', b'G')
