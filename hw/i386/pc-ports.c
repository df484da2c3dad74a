/*
 * Small ports of a PC: port 92, the keyboard controller's reset and A20 lines, the
 * reset control register at 0xcf9 and isa-debug-exit.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/core/device.h"
#include "system/address-space.h"
#include "system/runstate.h"
#include "trace/hw.h"

/* Port 92: bit 0 fast reset, bit 1 A20. */

typedef struct Port92State {
    DeviceState dev;
    uint8_t outport;
} Port92State;

static uint64_t port92_read(void *opaque, uint64_t addr, unsigned size)
{
    return ((Port92State *)opaque)->outport;
}

static void port92_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    Port92State *s = opaque;
    uint8_t old = s->outport;

    s->outport = value;
    memory_set_a20(value & 2);
    if ((value & 1) && !(old & 1)) {
        trace_guest_reset("port 92");
        system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    }
}

static const IORegionOps port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .min_size = 1,
    .max_size = 1,
};

static bool port92_realize(DeviceState *dev, Error **errp)
{
    ioport_map(0x92, 1, "port92", &port92_ops, dev);
    return true;
}

/* A BIOS leaves A20 on, and there is none here: it is on from the start. */
static void port92_reset(DeviceState *dev)
{
    ((Port92State *)dev)->outport = 2;
    memory_set_a20(true);
}

static bool port92_post_load(void *opaque, int version_id, Error **errp)
{
    memory_set_a20(((Port92State *)opaque)->outport & 2);
    return true;
}

static const VMStateDescription vmstate_port92 = {
    .name = "port92",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = port92_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(outport, Port92State),
        VMSTATE_END_OF_LIST(),
    },
};

static const DeviceClass port92_class = {
    .desc = "system control port A",
    .bus = "ISA",
    .vmsd = &vmstate_port92,
    .realize = port92_realize,
    .reset = port92_reset,
};

static const TypeInfo port92_type = {
    .name = "port92",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(Port92State),
    .class_data = &port92_class,
};
TYPE_REGISTER(port92_type)

/* Keyboard controller: no keyboard, but the lines that software uses to reset a PC. */

enum { KBD_CMD_SELF_TEST = 0xaa, KBD_CMD_PORT_TEST = 0xab, KBD_CMD_READ_MODE = 0x20,
       KBD_CMD_WRITE_MODE = 0x60, KBD_CMD_READ_OUTPORT = 0xd0, KBD_CMD_WRITE_OUTPORT = 0xd1,
       KBD_CMD_A20_OFF = 0xdd, KBD_CMD_A20_ON = 0xdf, KBD_CMD_PULSE = 0xf0 };
#define KBD_STAT_OBF 0x01 /* a byte waits at 0x60 */
#define KBD_STAT_SYS 0x04 /* self test passed */
#define KBD_STAT_CMD 0x08 /* the last write was a command */
#define KBD_OUT_RESET 0x01 /* active low */
#define KBD_OUT_A20 0x02

typedef struct KbdState {
    DeviceState dev;
    uint8_t write_cmd; /* command that waits for its byte at 0x60 */
    uint8_t status, mode, data, outport;
} KbdState;

static void kbd_answer(KbdState *s, uint8_t byte)
{
    s->data = byte;
    s->status |= KBD_STAT_OBF;
}

static void kbd_set_outport(KbdState *s, uint8_t value)
{
    s->outport = value;
    memory_set_a20(value & KBD_OUT_A20);
    if (!(value & KBD_OUT_RESET)) {
        trace_guest_reset("keyboard controller");
        system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    }
}

static void kbd_command(KbdState *s, uint8_t cmd)
{
    s->status |= KBD_STAT_CMD;
    s->write_cmd = 0;
    switch (cmd) {
    case KBD_CMD_READ_MODE:
        kbd_answer(s, s->mode);
        break;
    case KBD_CMD_WRITE_MODE:
    case KBD_CMD_WRITE_OUTPORT:
        s->write_cmd = cmd;
        break;
    case KBD_CMD_SELF_TEST:
        s->status |= KBD_STAT_SYS;
        kbd_answer(s, 0x55);
        break;
    case KBD_CMD_PORT_TEST:
        kbd_answer(s, 0x00);
        break;
    case KBD_CMD_READ_OUTPORT:
        kbd_answer(s, s->outport);
        break;
    case KBD_CMD_A20_OFF:
        kbd_set_outport(s, s->outport & ~KBD_OUT_A20);
        break;
    case KBD_CMD_A20_ON:
        kbd_set_outport(s, s->outport | KBD_OUT_A20);
        break;
    default:
        if (cmd >= KBD_CMD_PULSE && !(cmd & KBD_OUT_RESET)) { /* 0xfe: pulse the reset line */
            trace_guest_reset("keyboard controller");
            system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        }
        break;
    }
}

static void kbd_data(KbdState *s, uint8_t value)
{
    uint8_t cmd = s->write_cmd;

    s->write_cmd = 0;
    s->status &= ~KBD_STAT_CMD;
    if (cmd == KBD_CMD_WRITE_MODE) {
        s->mode = value;
    } else if (cmd == KBD_CMD_WRITE_OUTPORT) {
        kbd_set_outport(s, value);
    }
}

static uint64_t kbd_read_data(void *opaque, uint64_t addr, unsigned size)
{
    KbdState *s = opaque;

    s->status &= ~KBD_STAT_OBF;
    return s->data;
}

static void kbd_write_data(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    kbd_data(opaque, value);
}

static uint64_t kbd_read_status(void *opaque, uint64_t addr, unsigned size)
{
    return ((KbdState *)opaque)->status;
}

static void kbd_write_cmd(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    kbd_command(opaque, value);
}

static const IORegionOps kbd_data_ops = { kbd_read_data, kbd_write_data, 1, 1 };
static const IORegionOps kbd_cmd_ops = { kbd_read_status, kbd_write_cmd, 1, 1 };

static bool kbd_realize(DeviceState *dev, Error **errp)
{
    ioport_map(0x60, 1, "i8042-data", &kbd_data_ops, dev);
    ioport_map(0x64, 1, "i8042-cmd", &kbd_cmd_ops, dev);
    return true;
}

static void kbd_reset(DeviceState *dev)
{
    KbdState *s = (KbdState *)dev;

    s->write_cmd = s->data = s->mode = 0;
    s->status = 0x18;
    s->outport = KBD_OUT_RESET | KBD_OUT_A20 | 0xcc;
}

static const VMStateDescription vmstate_kbd = {
    .name = "pckbd",
    .version_id = 3,
    .minimum_version_id = 3,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(write_cmd, KbdState),
        VMSTATE_UINT8(status, KbdState),
        VMSTATE_UINT8(mode, KbdState),
        VMSTATE_UINT8(data, KbdState),
        VMSTATE_UINT8(outport, KbdState),
        VMSTATE_END_OF_LIST(),
    },
};

static const DeviceClass kbd_class = {
    .desc = "keyboard controller without a keyboard",
    .bus = "ISA",
    .vmsd = &vmstate_kbd,
    .realize = kbd_realize,
    .reset = kbd_reset,
};

static const TypeInfo kbd_type = {
    .name = "i8042",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(KbdState),
    .class_data = &kbd_class,
};
TYPE_REGISTER(kbd_type)

/* Reset control register: bit 2 resets, bit 1 says that it is a hard one. */

typedef struct ResetControlState {
    DeviceState dev;
    uint8_t rcr;
} ResetControlState;

static uint64_t rcr_read(void *opaque, uint64_t addr, unsigned size)
{
    return ((ResetControlState *)opaque)->rcr;
}

static void rcr_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    ResetControlState *s = opaque;

    if (value & 4) {
        trace_guest_reset("port 0xcf9");
        system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        return;
    }
    s->rcr = value & 2;
}

static const IORegionOps rcr_ops = { rcr_read, rcr_write, 1, 1 };

static bool rcr_realize(DeviceState *dev, Error **errp)
{
    ioport_map(0xcf9, 1, "reset-control", &rcr_ops, dev);
    return true;
}

static void rcr_reset(DeviceState *dev)
{
    ((ResetControlState *)dev)->rcr = 0;
}

static const VMStateDescription vmstate_rcr = {
    .name = "reset-control",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(rcr, ResetControlState),
        VMSTATE_END_OF_LIST(),
    },
};

static const DeviceClass rcr_class = {
    .desc = "reset control register",
    .bus = "ISA",
    .vmsd = &vmstate_rcr,
    .realize = rcr_realize,
    .reset = rcr_reset,
};

static const TypeInfo rcr_type = {
    .name = "reset-control",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(ResetControlState),
    .class_data = &rcr_class,
};
TYPE_REGISTER(rcr_type)

/* isa-debug-exit: ends the program with the status (value << 1 | 1), for tests. */

typedef struct DebugExitState {
    DeviceState dev;
    uint32_t iobase, iosize;
} DebugExitState;

static uint64_t debug_exit_read(void *opaque, uint64_t addr, unsigned size)
{
    return 0;
}

static void debug_exit_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    system_exit_request((value << 1 | 1) & 0xff);
}

static const IORegionOps debug_exit_ops = { debug_exit_read, debug_exit_write, 1, 4 };

static bool debug_exit_realize(DeviceState *dev, Error **errp)
{
    DebugExitState *s = (DebugExitState *)dev;

    if (!s->iosize) {
        error_setg(errp, "isa-debug-exit: iosize is 0");
        return false;
    }
    if (!ioport_check_free(s->iobase, s->iosize, errp)) {
        error_prefix(errp, "isa-debug-exit: ");
        return false;
    }
    ioport_map(s->iobase, s->iosize, "isa-debug-exit", &debug_exit_ops, s);
    return true;
}

static const PropertyInfo debug_exit_props[] = {
    { .name = "iobase", .kind = PROP_UINT32, .offset = offsetof(DebugExitState, iobase),
      .def = "0x501" },
    { .name = "iosize", .kind = PROP_UINT32, .offset = offsetof(DebugExitState, iosize),
      .def = "2" },
    { .name = NULL },
};

static const DeviceClass debug_exit_class = {
    .desc = "ends the emulator when written to",
    .bus = "ISA",
    .category = "Misc devices",
    .user_creatable = true,
    .realize = debug_exit_realize,
};

static const TypeInfo debug_exit_type = {
    .name = "isa-debug-exit",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(DebugExitState),
    .props = debug_exit_props,
    .class_data = &debug_exit_class,
};
TYPE_REGISTER(debug_exit_type)
