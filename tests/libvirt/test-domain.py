#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain on one host: what libvirt finds out about Ferry, the commands of its life, what is refused."""
import json
import os
import pty
import re
import struct
import subprocess
import time
import xml.etree.ElementTree as ET

from lvguest import Domain, Serial, have_kvm
from lvhosts import FERRY, poll_until
from lvtap import main, test

SERIAL = "<serial type='unix'><source mode='bind' path='/run/ferry/mover'/><target port='0'/></serial>"
NO_USB = "<controller type='usb' model='none'/>"


@test
def capabilities(pair):
    """What there is, is announced; what there is not, is not."""
    for kind in ['qemu'] + ['kvm'] * have_kvm():
        for machine, full in ('pc', 'pc-i440fx-'), ('q35', 'pc-q35-'):
            caps = ET.fromstring(pair.a.virsh('domcapabilities', '--emulatorbin', FERRY, '--virttype',
                                              kind, '--machine', machine))
            assert caps.find('machine').text.startswith(full)
            modes = {m.get('name'): m for m in caps.find('cpu')}
            assert all(modes[m].get('supported') == 'yes' for m in ('custom', 'host-model', 'maximum'))
            assert modes['host-passthrough'].get('supported') == ('yes' if kind == 'kvm' else 'no')
            assert modes['host-model'].find('vendor') is not None
            usable = {m.text: m.get('usable') for m in modes['custom']}
            assert usable['qemu64'] == 'yes' or kind == 'kvm', usable
            assert [v.text for v in caps.findall("devices/video/enum[@name='modelType']/value")] == ['none']
            assert not caps.findall("devices/graphics/enum[@name='type']/value")
            assert caps.find('devices/tpm').get('supported') == 'no'
            assert caps.find('iothreads').get('supported') == 'no'
            assert caps.find('features/sev').get('supported') == 'no'


@test
def cpu_is_what_was_asked_for(pair):
    """libvirt compares the guest's features with the domain's, and describes them to others."""
    cpu = "<cpu mode='custom' match='exact' check='full'><model>qemu64</model>{}</cpu>"
    asked = Domain(pair, accel='qemu', more=cpu.format("<feature policy='require' name='vmx'/>"))
    said = pair.a.virsh_error('create', asked.file)
    assert re.search('missing features: .*vmx', said), said
    Domain(pair, accel='qemu', used=1 << 20, interval=0, more="<cpu mode='host-model'/>").start()
    live = ET.fromstring(pair.a.virsh('dumpxml', 'mover')).find('cpu')
    assert live.get('check') == 'full'
    assert any(f.get('name') == 'hypervisor' for f in live.findall('feature'))


@test
def life_of_a_domain(pair):
    domain, virsh = Domain(pair, vcpus=2), pair.a.virsh
    virsh('define', domain.file)
    virsh('start', domain.name)
    domain.runs_on(pair.a)
    virsh('suspend', domain.name)
    assert pair.a.state(domain.name) == 'paused (user)'
    virsh('resume', domain.name)
    domain.runs_on(pair.a)
    with Serial(pair.a, domain.name) as line:
        virsh('reset', domain.name)
        line.ask(b'', b'A')  # it begins again
    domain.runs_on(pair.a)
    virsh('shutdown', '--mode', 'acpi', domain.name)  # the guest does not listen to the button
    virsh('reboot', '--mode', 'acpi', domain.name)
    domain.runs_on(pair.a)
    virsh('destroy', domain.name)
    assert pair.a.state(domain.name).startswith('shut off')
    virsh('undefine', domain.name)


@test
def questions_about_a_domain(pair):
    domain, virsh = Domain(pair, vcpus=2).start(), pair.a.virsh
    assert re.search(r'^CPU\(s\): +2$', virsh('dominfo', domain.name), re.M)
    assert len(re.findall(r'^State: +running$', virsh('vcpuinfo', domain.name), re.M)) == 2
    assert re.search(r'^rss \d+$', virsh('dommemstat', domain.name), re.M)
    stats = virsh('domstats', domain.name)
    for part in ('state.state=1', 'vcpu.current=2', 'block.0.name=hda', 'block.0.rd.bytes='):
        assert part in stats, stats
    assert 'hda' in virsh('domblkinfo', '--all', domain.name)
    reply = json.loads(virsh('qemu-monitor-command', domain.name, '{"execute":"query-status"}'))
    assert reply['return']['status'] == 'running'
    assert 'running' in virsh('qemu-monitor-command', domain.name, '--hmp', 'info status')
    virsh('migrate-compcache', domain.name, '--size', str(32 << 20))
    assert '32.000 MiB' in virsh('migrate-compcache', domain.name)
    virsh('migrate-setmaxdowntime', domain.name, '777')
    assert virsh('migrate-getmaxdowntime', domain.name) == '777'
    virsh('domdirtyrate-calc', domain.name, '--seconds', '1')
    poll_until('the dirty rate',
               lambda: 'dirtyrate.megabytes_per_second=' in virsh('domstats', '--dirtyrate', domain.name))


@test
def console(pair):
    """virsh console on a pseudo terminal of the domain."""
    domain = Domain(pair, replace=[(SERIAL, "<serial type='pty'><target port='0'/></serial>")])
    pair.a.virsh('create', domain.file)
    mine, virsh = pty.openpty()
    with subprocess.Popen(pair.a.inside('virsh', 'console', domain.name), stdin=virsh, stdout=virsh,
                          stderr=virsh) as p:
        os.close(virsh)
        text, deadline = b'', time.monotonic() + 30
        while not re.search(rb'S[0-9a-f]{16}', text) and time.monotonic() < deadline:
            os.write(mine, b's')
            time.sleep(0.2)
            text += os.read(mine, 4096)
        os.write(mine, b'\x1d')
        os.close(mine)
    assert re.search(rb'S[0-9a-f]{16}', text), text


@test
def managed_save(pair):
    domain = Domain(pair)
    pair.a.virsh('define', domain.file)
    pair.a.virsh('start', domain.name)
    domain.runs_on(pair.a)
    pair.a.virsh('managedsave', domain.name)
    assert pair.a.state(domain.name) == 'shut off (saved)'
    pair.a.virsh('start', domain.name)
    assert pair.a.state(domain.name) == 'running (restored)'
    domain.runs_on(pair.a)


@test
def dump_of_memory(pair):
    domain = Domain(pair, vcpus=2).start()
    core = f'{pair.folder}/core'
    said = pair.a.virsh('dump', '--memory-only', '--verbose', domain.name, core)
    assert 'dumped to' in said or not said, said
    domain.runs_on(pair.a)
    with open(core, 'rb') as f:
        data = f.read(1 << 20)
    assert data[:5] == b'\x7fELF\x02' and struct.unpack_from('<H', data, 16)[0] == 4  # ET_CORE
    assert data.count(b'CORE\0') >= 2 and b'QEMU\0' in data
    assert os.path.getsize(core) > 96 << 20
    said = pair.a.virsh_error('dump', '--memory-only', '--format', 'kdump-zlib', domain.name, core)
    assert 'kdump-zlib' in said, said


@test
def daemon_restarts(pair):
    """A new libvirtd finds the domain, and may do all with it."""
    domain = Domain(pair).start()
    pair.a.restart_libvirtd()
    assert pair.a.state(domain.name).startswith('running')
    domain.runs_on(pair.a)
    pair.a.virsh('suspend', domain.name)
    pair.a.restart_libvirtd()
    assert pair.a.state(domain.name).startswith('paused')
    pair.a.virsh('resume', domain.name)
    domain.runs_on(pair.a)


# What a domain may ask for that Ferry has not: a change of the XML, and what the message names.
MISSING = [
    ('graphics', {'devices': "<graphics type='vnc' port='-1'/>"}, 'vnc'),
    ('USB', {'replace': [(NO_USB, '')]}, 'USB'),
    ('SATA', {'devices': "<controller type='sata'/>"}, 'SATA'),
    ('SCSI', {'devices': "<controller type='scsi' model='virtio-scsi'/>"}, 'virtio scsi'),
    ('TPM', {'devices': "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"}, 'TPM'),
    ('sound', {'devices': "<sound model='ich6'/>"}, 'intel-hda'),
    ('CD-ROM', {'devices': "<disk type='file' device='cdrom'><source file='/dev/null'/>"
                           "<target dev='hdc' bus='ide'/></disk>"}, 'ide-cd'),
    ('qcow2', {'replace': [("type='raw'", "type='qcow2'")]}, 'qcow2'),
    ('kernel', {'replace': [("<boot dev='hd'/>", '<kernel>/dev/null</kernel>')]}, '-kernel'),
    ('NUMA', {'more': "<cpu><numa><cell id='0' cpus='0' memory='96' unit='MiB'/></numa></cpu>"}, '-numa'),
    ('Hyper-V', {'replace': [('<acpi/>', "<hyperv><relaxed state='on'/></hyperv>")]}, 'Hyper-V'),
    ('shared folders', {'devices': "<filesystem><source dir='/tmp'/><target dir='x'/></filesystem>"},
     'shared folders'),
    ('SMBIOS', {'replace': [("<boot dev='hd'/>", "<smbios mode='sysinfo'/>")],
                'more': "<sysinfo type='smbios'><bios><entry name='vendor'>x</entry></bios></sysinfo>"},
     'SMBIOS'),
    ('tick policy', {'more': "<clock offset='utc'><timer name='rtc' tickpolicy='catchup'/></clock>"},
     'driftfix=slew'),
]


@test
def missing_features_are_named(pair):
    for what, change, part in MISSING:
        said = pair.a.virsh_error('create', Domain(pair, **change).file)
        assert part in said, f'{what}: {said}'


main()
