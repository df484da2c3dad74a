/*
 * ATA disks on two legacy channels of two drives each, programmed I/O only.
 *
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_BLOCK_IDE_H
#define FERRY_HW_BLOCK_IDE_H

#include "hw/block/block.h"
#include "hw/core/device.h"
#include "system/address-space.h"

#define IDE_MAX_MULTIPLE 16 /* sectors of one READ/WRITE MULTIPLE block */

typedef struct IDEChannel IDEChannel;

typedef struct IDEDrive {
    IDEChannel *channel;
    BlockBackend *blk;     /* NULL: no drive here */
    char *serial, *model, *version;
    uint8_t feature, nsector, sector, lcyl, hcyl, select, status, error;
    uint8_t hob_feature, hob_nsector, hob_sector, hob_lcyl, hob_hcyl; /* LBA48: former values */
    uint8_t mult_sectors;
    uint8_t command;       /* whose data is being transferred */
    uint16_t heads, spt;   /* as the guest set with INITIALIZE PARAMETERS */
    uint64_t next_lba;     /* of the transfer */
    uint32_t sectors_left; /* after the block in the buffer */
    uint32_t data_pos, data_len; /* in buf; DRQ is set while pos < len */
    uint8_t buf[IDE_MAX_MULTIPLE * BLOCK_SECTOR_SIZE];
} IDEDrive;

struct IDEChannel {
    IDEDrive drives[2];
    uint8_t unit;          /* selected */
    uint8_t control;       /* nIEN, SRST */
    IRQLine irq;
};

void ide_channel_reset(IDEChannel *c);
/* Attach a disk whose backend is known. */
void ide_drive_init(IDEDrive *d, BlockBackend *blk);
extern const IORegionOps ide_command_ops; /* eight ports; opaque: IDEChannel */
extern const IORegionOps ide_control_ops; /* one port */
extern const VMStateDescription vmstate_ide_channel;

/* ata.c: a command was written. */
void ide_exec_command(IDEChannel *c, IDEDrive *d, uint8_t command);
/* The buffer was drained or filled by the guest. */
void ide_data_done(IDEDrive *d);

/* Channel 0 or 1 of the machine, NULL when it has none. */
IDEChannel *ide_channel(unsigned n);

#define ATA_ERR 0x01
#define ATA_DRQ 0x08
#define ATA_DSC 0x10
#define ATA_DF 0x20
#define ATA_DRDY 0x40
#define ATA_BSY 0x80
#define ATA_CTL_NIEN 0x02
#define ATA_CTL_SRST 0x04
#define ATA_CTL_HOB 0x80
#define ATA_SEL_DRIVE 0x10
#define ATA_SEL_LBA 0x40

static inline void ide_set_irq(IDEChannel *c)
{
    if (!(c->control & ATA_CTL_NIEN)) {
        irq_set(&c->irq, 1);
    }
}

#endif
