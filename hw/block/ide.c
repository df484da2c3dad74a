/*
 * The registers of an IDE channel, and its saved state.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/block/ide.h"

#include <string.h>

#include "util/util.h"

static IDEDrive *selected(IDEChannel *c)
{
    return &c->drives[c->unit];
}

/* Power-on and software reset: the signature of an ATA disk. */
static void drive_reset(IDEDrive *d)
{
    d->feature = 0;
    d->nsector = d->sector = 1;
    d->lcyl = d->hcyl = 0;
    d->hob_feature = d->hob_nsector = d->hob_sector = d->hob_lcyl = d->hob_hcyl = 0;
    d->select = 0xa0;
    d->status = d->blk ? ATA_DRDY | ATA_DSC : 0;
    d->error = 1;
    d->command = 0;
    d->sectors_left = d->data_pos = d->data_len = 0;
    d->heads = 16;
    d->spt = 63;
    d->mult_sectors = IDE_MAX_MULTIPLE;
}

void ide_channel_reset(IDEChannel *c)
{
    for (int i = 0; i < 2; i++) {
        c->drives[i].channel = c;
        drive_reset(&c->drives[i]);
    }
    c->unit = 0;
    c->control = 0;
    irq_set(&c->irq, 0);
}

void ide_drive_init(IDEDrive *d, BlockBackend *blk)
{
    d->blk = blk;
    drive_reset(d);
}

static uint32_t read_data(IDEDrive *d, unsigned size)
{
    uint32_t value = 0;

    if (!(d->status & ATA_DRQ) || d->data_pos + size > d->data_len) {
        return size == 4 ? 0xffffffff : 0xffff;
    }
    for (unsigned i = 0; i < size; i++) {
        value |= (uint32_t)d->buf[d->data_pos++] << 8 * i;
    }
    if (d->data_pos == d->data_len) {
        ide_data_done(d);
    }
    return value;
}

static void write_data(IDEDrive *d, uint32_t value, unsigned size)
{
    if (!(d->status & ATA_DRQ) || d->data_pos + size > d->data_len) {
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        d->buf[d->data_pos++] = value >> 8 * i;
    }
    if (d->data_pos == d->data_len) {
        ide_data_done(d);
    }
}

static uint64_t command_read(void *opaque, uint64_t addr, unsigned size)
{
    IDEChannel *c = opaque;
    IDEDrive *d = selected(c);
    bool hob = c->control & ATA_CTL_HOB;

    if (!d->blk && addr != 6) {
        return addr == 7 ? 0 : size == 4 ? 0xffffffff : size == 2 ? 0xffff : 0xff;
    }
    switch (addr) {
    case 0:
        return read_data(d, size);
    case 1:
        return hob ? d->hob_feature : d->error;
    case 2:
        return hob ? d->hob_nsector : d->nsector;
    case 3:
        return hob ? d->hob_sector : d->sector;
    case 4:
        return hob ? d->hob_lcyl : d->lcyl;
    case 5:
        return hob ? d->hob_hcyl : d->hcyl;
    case 6:
        return d->select;
    default:
        irq_set(&c->irq, 0);
        return d->status;
    }
}

/* Both drives hear what is written to the address registers. */
static void write_register(IDEDrive *d, unsigned addr, uint8_t value)
{
    switch (addr) {
    case 1:
        d->hob_feature = d->feature;
        d->feature = value;
        break;
    case 2:
        d->hob_nsector = d->nsector;
        d->nsector = value;
        break;
    case 3:
        d->hob_sector = d->sector;
        d->sector = value;
        break;
    case 4:
        d->hob_lcyl = d->lcyl;
        d->lcyl = value;
        break;
    case 5:
        d->hob_hcyl = d->hcyl;
        d->hcyl = value;
        break;
    default:
        d->select = value | 0xa0;
    }
}

static void command_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    IDEChannel *c = opaque;
    IDEDrive *d = selected(c);

    if (addr == 0) {
        write_data(d, value, size);
    } else if (addr == 7) {
        irq_set(&c->irq, 0);
        c->control &= ~ATA_CTL_HOB;
        if (d->blk) {
            ide_exec_command(c, d, value);
        }
    } else {
        c->control &= ~ATA_CTL_HOB;
        write_register(&c->drives[0], addr, value);
        write_register(&c->drives[1], addr, value);
        if (addr == 6) {
            c->unit = (value & ATA_SEL_DRIVE) != 0;
        }
    }
}

const IORegionOps ide_command_ops = { command_read, command_write, 1, 4 };

static uint64_t control_read(void *opaque, uint64_t addr, unsigned size)
{
    return selected(opaque)->blk ? selected(opaque)->status : 0;
}

static void control_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    IDEChannel *c = opaque;
    bool srst = value & ATA_CTL_SRST;

    if (srst && !(c->control & ATA_CTL_SRST)) {
        c->drives[0].status = c->drives[1].status = ATA_BSY;
    } else if (!srst && (c->control & ATA_CTL_SRST)) {
        drive_reset(&c->drives[0]);
        drive_reset(&c->drives[1]);
        c->unit = 0;
    }
    c->control = value;
    if (c->control & ATA_CTL_NIEN) {
        irq_set(&c->irq, 0);
    }
}

const IORegionOps ide_control_ops = { control_read, control_write, 1, 1 };

/* Saved state. */

static bool drive_post_load(void *opaque, int version_id, Error **errp)
{
    IDEDrive *d = opaque;

    if (d->data_len > sizeof(d->buf) || d->data_pos > d->data_len ||
        d->data_len % BLOCK_SECTOR_SIZE || d->mult_sectors > IDE_MAX_MULTIPLE ||
        (d->mult_sectors & (d->mult_sectors - 1)) || !d->heads || d->heads > 16 || !d->spt ||
        d->sectors_left > 65536) {
        error_setg(errp, "ide_drive: a transfer of %u bytes at %u, %u sectors left, is not possible",
                   d->data_len, d->data_pos, d->sectors_left);
        return false;
    }
    if ((d->status & ATA_DRQ) && !(d->data_pos < d->data_len)) {
        error_setg(errp, "ide_drive: status 0x%02x without data", d->status);
        return false;
    }
    if (d->status && !d->blk && d->status != ATA_BSY) {
        error_setg(errp, "ide_drive: the other side has a drive that is missing here");
        return false;
    }
    if (!d->blk) {
        d->status = 0;
        return true;
    }
    uint64_t total = block_backend_sectors(d->blk);
    if (d->sectors_left && (d->next_lba > total || d->sectors_left > total - d->next_lba)) {
        error_setg(errp, "ide_drive: sectors %" G_GUINT64_FORMAT "+%u are not on this disk",
                   d->next_lba, d->sectors_left);
        return false;
    }
    return true;
}

static bool pio_needed(void *opaque)
{
    return ((IDEDrive *)opaque)->data_len != 0;
}

static const VMStateDescription vmstate_pio = {
    .name = "ide_drive/pio_state",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = pio_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(data_pos, IDEDrive),
        VMSTATE_UINT32(data_len, IDEDrive),
        VMSTATE_BUFFER(buf, IDEDrive),
        VMSTATE_END_OF_LIST(),
    },
};

static bool drive_pre_load(void *opaque, Error **errp)
{
    IDEDrive *d = opaque;

    d->data_pos = d->data_len = 0;
    return true;
}

static const VMStateDescription vmstate_ide_drive = {
    .name = "ide_drive",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = drive_pre_load,
    .post_load = drive_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(mult_sectors, IDEDrive),
        VMSTATE_UINT8(feature, IDEDrive),
        VMSTATE_UINT8(error, IDEDrive),
        VMSTATE_UINT8(nsector, IDEDrive),
        VMSTATE_UINT8(sector, IDEDrive),
        VMSTATE_UINT8(lcyl, IDEDrive),
        VMSTATE_UINT8(hcyl, IDEDrive),
        VMSTATE_UINT8(hob_feature, IDEDrive),
        VMSTATE_UINT8(hob_nsector, IDEDrive),
        VMSTATE_UINT8(hob_sector, IDEDrive),
        VMSTATE_UINT8(hob_lcyl, IDEDrive),
        VMSTATE_UINT8(hob_hcyl, IDEDrive),
        VMSTATE_UINT8(select, IDEDrive),
        VMSTATE_UINT8(status, IDEDrive),
        VMSTATE_UINT8(command, IDEDrive),
        VMSTATE_UINT16(heads, IDEDrive),
        VMSTATE_UINT16(spt, IDEDrive),
        VMSTATE_UINT64(next_lba, IDEDrive),
        VMSTATE_UINT32(sectors_left, IDEDrive),
        VMSTATE_END_OF_LIST(),
    },
    .subsections = (const VMStateDescription *const[]){ &vmstate_pio, NULL },
};

static bool channel_post_load(void *opaque, int version_id, Error **errp)
{
    IDEChannel *c = opaque;

    if (c->unit > 1) {
        error_setg(errp, "ide_bus: unit %u is selected, there are 0 and 1", c->unit);
        return false;
    }
    return true;
}

const VMStateDescription vmstate_ide_channel = {
    .name = "ide_bus",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = channel_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(control, IDEChannel),
        VMSTATE_UINT8(unit, IDEChannel),
        VMSTATE_STRUCT_ARRAY(drives, IDEChannel, 2, 1, vmstate_ide_drive, IDEDrive),
        VMSTATE_END_OF_LIST(),
    },
};
