/*
 * ATA commands of a disk, programmed I/O.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/block/ide.h"
#include "trace/hw.h"
#include "util/log.h"
#include "util/util.h"

#define ERR_ABRT 0x04
#define ERR_IDNF 0x10
#define ERR_UNC 0x40

enum { ATA_RECALIBRATE = 0x10, ATA_READ = 0x20, ATA_READ_NORETRY = 0x21,
       ATA_READ_EXT = 0x24, ATA_READ_MULTIPLE_EXT = 0x29,
       ATA_WRITE = 0x30, ATA_WRITE_NORETRY = 0x31, ATA_WRITE_EXT = 0x34,
       ATA_WRITE_MULTIPLE_EXT = 0x39, ATA_VERIFY = 0x40, ATA_VERIFY_NORETRY = 0x41,
       ATA_VERIFY_EXT = 0x42, ATA_SEEK = 0x70, ATA_DIAGNOSTIC = 0x90, ATA_INIT_PARAMS = 0x91,
       ATA_CHECK_POWER_OLD = 0x98, ATA_READ_MULTIPLE = 0xc4, ATA_WRITE_MULTIPLE = 0xc5,
       ATA_SET_MULTIPLE = 0xc6, ATA_STANDBY_IMMEDIATE = 0xe0, ATA_IDLE_IMMEDIATE = 0xe1,
       ATA_STANDBY = 0xe2, ATA_IDLE = 0xe3, ATA_CHECK_POWER = 0xe5, ATA_SLEEP = 0xe6,
       ATA_FLUSH = 0xe7, ATA_FLUSH_EXT = 0xea, ATA_IDENTIFY = 0xec, ATA_SET_FEATURES = 0xef,
       ATA_READ_NATIVE_MAX = 0xf8 };

static void finish(IDEDrive *d)
{
    d->status = ATA_DRDY | ATA_DSC;
    d->error = 0;
    d->data_pos = d->data_len = 0;
    ide_set_irq(d->channel);
}

static void fail(IDEDrive *d, uint8_t error)
{
    trace_ide_error(d == &d->channel->drives[1], d->command, error);
    d->status = ATA_DRDY | ATA_DSC | ATA_ERR;
    d->error = error;
    d->data_pos = d->data_len = 0;
    d->sectors_left = 0;
    ide_set_irq(d->channel);
}

static bool is_ext(uint8_t command)
{
    return command == ATA_READ_EXT || command == ATA_WRITE_EXT || command == ATA_VERIFY_EXT ||
           command == ATA_READ_MULTIPLE_EXT || command == ATA_WRITE_MULTIPLE_EXT;
}

static uint64_t command_lba(const IDEDrive *d, bool ext)
{
    if (ext) {
        return (uint64_t)d->hob_hcyl << 40 | (uint64_t)d->hob_lcyl << 32 |
               (uint64_t)d->hob_sector << 24 | d->hcyl << 16 | d->lcyl << 8 | d->sector;
    }
    if (d->select & ATA_SEL_LBA) {
        return (d->select & 15u) << 24 | d->hcyl << 16 | d->lcyl << 8 | d->sector;
    }
    unsigned cylinder = d->hcyl << 8 | d->lcyl;
    return ((uint64_t)cylinder * d->heads + (d->select & 15)) * d->spt + d->sector - 1;
}

static uint32_t command_sectors(const IDEDrive *d, bool ext)
{
    if (ext) {
        uint32_t n = d->hob_nsector << 8 | d->nsector;

        return n ? n : 65536;
    }
    return d->nsector ? d->nsector : 256;
}

/* Sectors of one data block of the running command. */
static unsigned block_sectors(const IDEDrive *d)
{
    bool multiple = d->command == ATA_READ_MULTIPLE || d->command == ATA_WRITE_MULTIPLE ||
                    d->command == ATA_READ_MULTIPLE_EXT || d->command == ATA_WRITE_MULTIPLE_EXT;

    return MIN(multiple ? d->mult_sectors : 1, d->sectors_left);
}

static bool is_write(uint8_t command)
{
    return command == ATA_WRITE || command == ATA_WRITE_NORETRY || command == ATA_WRITE_EXT ||
           command == ATA_WRITE_MULTIPLE || command == ATA_WRITE_MULTIPLE_EXT;
}

static void offer_data(IDEDrive *d, unsigned bytes)
{
    d->data_pos = 0;
    d->data_len = bytes;
    d->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    d->error = 0;
}

/* Fetch the next block for the guest. */
static void next_read_block(IDEDrive *d)
{
    unsigned n = block_sectors(d);

    if (!block_backend_read(d->blk, d->next_lba, d->buf, n)) {
        fail(d, ERR_UNC);
        return;
    }
    d->next_lba += n;
    d->sectors_left -= n;
    offer_data(d, n * BLOCK_SECTOR_SIZE);
    ide_set_irq(d->channel);
}

/* Write the block that the guest has filled, and ask for the next one. */
static void write_block_done(IDEDrive *d)
{
    unsigned n = d->data_len / BLOCK_SECTOR_SIZE;

    if (!block_backend_write(d->blk, d->next_lba, d->buf, n)) {
        fail(d, ERR_ABRT);
        return;
    }
    d->next_lba += n;
    d->sectors_left -= n;
    if (!d->sectors_left) {
        finish(d);
        return;
    }
    offer_data(d, block_sectors(d) * BLOCK_SECTOR_SIZE);
    ide_set_irq(d->channel);
}

void ide_data_done(IDEDrive *d)
{
    if (is_write(d->command)) {
        write_block_done(d);
    } else if (d->command == ATA_IDENTIFY || !d->sectors_left) {
        d->status = ATA_DRDY | ATA_DSC; /* the last interrupt came with the data */
        d->data_pos = d->data_len = 0;
    } else {
        next_read_block(d);
    }
}

/* Read, write and verify: check the range, then the first block. */
static void start_transfer(IDEDrive *d)
{
    bool ext = is_ext(d->command);
    uint64_t lba = command_lba(d, ext);
    uint64_t total = block_backend_sectors(d->blk);
    bool multiple = d->command == ATA_READ_MULTIPLE || d->command == ATA_WRITE_MULTIPLE ||
                    d->command == ATA_READ_MULTIPLE_EXT || d->command == ATA_WRITE_MULTIPLE_EXT;

    d->sectors_left = command_sectors(d, ext);
    d->next_lba = lba;
    trace_ide_command(d == &d->channel->drives[1], d->command, lba, d->sectors_left);
    if (multiple && !d->mult_sectors) {
        fail(d, ERR_ABRT);
    } else if (lba >= total || d->sectors_left > total - lba) {
        fail(d, ERR_IDNF);
    } else if (d->command == ATA_VERIFY || d->command == ATA_VERIFY_NORETRY ||
               d->command == ATA_VERIFY_EXT) {
        finish(d);
    } else if (is_write(d->command)) {
        if (block_backend_is_readonly(d->blk)) {
            fail(d, ERR_ABRT);
            return;
        }
        offer_data(d, block_sectors(d) * BLOCK_SECTOR_SIZE); /* no interrupt before the first block */
    } else {
        next_read_block(d);
    }
}

static void put_string(uint16_t *words, unsigned n, const char *text)
{
    for (unsigned i = 0; i < 2 * n; i++) {
        char c = *text ? *text++ : ' ';

        words[i / 2] |= (uint8_t)c << (i % 2 ? 0 : 8);
    }
}

static void identify(IDEDrive *d)
{
    uint16_t w[256] = { 0 };
    uint64_t total = block_backend_sectors(d->blk);
    uint64_t chs = MIN(total, 16383ULL * 16 * 63);
    uint32_t lba28 = MIN(total, (1u << 28) - 1);

    w[0] = 0x0040; /* fixed disk */
    w[1] = MAX(chs / (16 * 63), 1);
    w[3] = 16;
    w[6] = 63;
    put_string(&w[10], 10, d->serial);
    put_string(&w[23], 4, d->version);
    put_string(&w[27], 20, d->model);
    w[47] = 0x8000 | IDE_MAX_MULTIPLE;
    w[48] = 1;                     /* 32-bit data port accesses */
    w[49] = 1 << 11 | 1 << 9;      /* IORDY, LBA; no DMA */
    w[50] = 1 << 14;
    w[51] = 0x200;
    w[53] = 1 << 1 | 1 << 0;
    w[54] = w[1];
    w[55] = d->heads;
    w[56] = d->spt;
    w[57] = chs;
    w[58] = chs >> 16;
    w[59] = d->mult_sectors ? 0x100 | d->mult_sectors : 0;
    w[60] = lba28;
    w[61] = lba28 >> 16;
    w[64] = 3;                     /* PIO modes 3 and 4 */
    w[65] = w[66] = w[67] = w[68] = 120;
    w[80] = 0xf0;                  /* ATA-4 to ATA-7 */
    w[81] = 0x16;
    w[82] = 1 << 14 | 1 << 5;      /* NOP, write cache */
    w[83] = 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10; /* FLUSH, FLUSH EXT, LBA48 */
    w[84] = 1 << 14;
    w[85] = w[82];
    w[86] = 1 << 13 | 1 << 12 | 1 << 10;
    w[87] = 1 << 14;
    w[93] = 1 | 1 << 14 | 0x2000;
    for (int i = 0; i < 4; i++) {
        w[100 + i] = total >> 16 * i;
    }
    for (int i = 0; i < 256; i++) {
        d->buf[2 * i] = w[i];
        d->buf[2 * i + 1] = w[i] >> 8;
    }
    d->sectors_left = 0;
    offer_data(d, BLOCK_SECTOR_SIZE);
    ide_set_irq(d->channel);
}

static void set_multiple(IDEDrive *d)
{
    uint8_t n = d->nsector;

    if (n > IDE_MAX_MULTIPLE || (n & (n - 1))) {
        fail(d, ERR_ABRT);
        return;
    }
    d->mult_sectors = n;
    finish(d);
}

static void set_features(IDEDrive *d)
{
    switch (d->feature) {
    case 0x02: /* write cache on/off, read look-ahead on/off, reverting defaults off/on */
    case 0x82:
    case 0x55:
    case 0xaa:
    case 0x66:
    case 0xcc:
        finish(d);
        break;
    case 0x03: /* transfer mode: PIO default or PIO flow control modes */
        if ((d->nsector >> 3) <= 1) {
            finish(d);
            break;
        }
        fail(d, ERR_ABRT);
        break;
    default:
        fail(d, ERR_ABRT);
    }
}

/* Last sector into the address registers. */
static void native_max(IDEDrive *d)
{
    uint64_t last = block_backend_sectors(d->blk) - 1;

    last = MIN(last, (1u << 28) - 2);
    d->sector = last;
    d->lcyl = last >> 8;
    d->hcyl = last >> 16;
    d->select = (d->select & 0xf0) | (last >> 24 & 15);
    finish(d);
}

static void diagnostic(IDEChannel *c)
{
    for (int i = 0; i < 2; i++) {
        IDEDrive *d = &c->drives[i];

        d->nsector = d->sector = 1;
        d->lcyl = d->hcyl = 0;
        d->error = 1; /* passed */
        d->status = d->blk ? ATA_DRDY | ATA_DSC : 0;
    }
    c->unit = 0;
    ide_set_irq(c);
}

static void init_params(IDEDrive *d)
{
    d->heads = (d->select & 15) + 1;
    d->spt = d->nsector ? d->nsector : 63;
    finish(d);
}

static void flush(IDEDrive *d)
{
    if (block_backend_flush(d->blk)) {
        finish(d);
    } else {
        fail(d, ERR_ABRT);
    }
}

static void check_power(IDEDrive *d)
{
    d->nsector = 0xff; /* active */
    finish(d);
}

static const struct Command {
    uint8_t number;
    void (*run)(IDEDrive *d);
} commands[] = {
    { ATA_IDENTIFY, identify },
    { ATA_READ, start_transfer },
    { ATA_READ_NORETRY, start_transfer },
    { ATA_READ_EXT, start_transfer },
    { ATA_READ_MULTIPLE, start_transfer },
    { ATA_READ_MULTIPLE_EXT, start_transfer },
    { ATA_WRITE, start_transfer },
    { ATA_WRITE_NORETRY, start_transfer },
    { ATA_WRITE_EXT, start_transfer },
    { ATA_WRITE_MULTIPLE, start_transfer },
    { ATA_WRITE_MULTIPLE_EXT, start_transfer },
    { ATA_VERIFY, start_transfer },
    { ATA_VERIFY_NORETRY, start_transfer },
    { ATA_VERIFY_EXT, start_transfer },
    { ATA_FLUSH, flush },
    { ATA_FLUSH_EXT, flush },
    { ATA_SET_MULTIPLE, set_multiple },
    { ATA_SET_FEATURES, set_features },
    { ATA_INIT_PARAMS, init_params },
    { ATA_CHECK_POWER, check_power },
    { ATA_CHECK_POWER_OLD, check_power },
    { ATA_READ_NATIVE_MAX, native_max },
    { ATA_RECALIBRATE, finish },
    { ATA_SEEK, finish },
    { ATA_STANDBY_IMMEDIATE, finish },
    { ATA_IDLE_IMMEDIATE, finish },
    { ATA_STANDBY, finish },
    { ATA_IDLE, finish },
    { ATA_SLEEP, finish },
};

void ide_exec_command(IDEChannel *c, IDEDrive *d, uint8_t command)
{
    d->command = command;
    d->data_pos = d->data_len = 0;
    if (command == ATA_DIAGNOSTIC) { /* both drives */
        diagnostic(c);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (commands[i].number == command) {
            commands[i].run(d);
            return;
        }
    }
    log_debug(LOG_UNIMP, "ide: command 0x%02x\n", command);
    fail(d, ERR_ABRT);
}
