/*
 * virtio-blk: a disk on virtqueues (virtio 1.1, 5.2).  Machine lock.
 *
 * A request is served while its queue is handled, so that none is under way when the machine
 * stands still: saved state holds no requests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/block/block.h"
#include "hw/core/machine.h"
#include "hw/virtio/virtio.h"
#include "trace/hw.h"
#include "util/util.h"

#define BLK_F_SEG_MAX 2
#define BLK_F_GEOMETRY 4
#define BLK_F_RO 5
#define BLK_F_BLK_SIZE 6
#define BLK_F_FLUSH 9
#define BLK_F_TOPOLOGY 10
#define BLK_F_CONFIG_WCE 11
#define BLK_F_MQ 12
#define BLK_F_DISCARD 13
#define BLK_F_WRITE_ZEROES 14

enum { BLK_T_IN = 0, BLK_T_OUT = 1, BLK_T_FLUSH = 4, BLK_T_GET_ID = 8, BLK_T_DISCARD = 11,
       BLK_T_WRITE_ZEROES = 13, BLK_T_BARRIER = 0x80000000 };
enum { BLK_S_OK, BLK_S_IOERR, BLK_S_UNSUPP };
#define BLK_ID_BYTES 20
#define BLK_SEGMENT_UNMAP 1     /* of write-zeroes: may become a hole */
#define BLK_MAX_ZERO_SECTORS 0x3fffff
#define BLK_MAX_QUEUES 64
#define NUM_QUEUES_AUTO 0xffff

/* struct virtio_blk_config, little endian. */
typedef struct __attribute__((packed)) BlkConfig {
    uint64_t capacity;          /* in 512 bytes */
    uint32_t size_max, seg_max;
    uint16_t cylinders;
    uint8_t heads, sectors;
    uint32_t blk_size;
    uint8_t physical_exp, alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback, unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors, max_discard_seg, discard_alignment;
    uint32_t max_zero_sectors, max_zero_seg;
    uint8_t zero_may_unmap;
} BlkConfig;

typedef struct VirtIOBlk {
    VirtIODevice vdev;
    char *drive, *serial;
    int32_t bootindex;
    int write_cache;            /* on_off_auto */
    bool share_rw, config_wce, discard, write_zeroes;
    uint16_t num_queues, queue_size;
    uint64_t logical_block_size, physical_block_size;
    BlockBackend *blk;
    bool writeback;             /* else each write is flushed */
} VirtIOBlk;

enum { AUTO, ON, OFF };
static const char *const on_off_auto[] = { "auto", "on", "off", NULL };

static VirtIOBlk *blk_of(VirtIODevice *vdev)
{
    return (VirtIOBlk *)vdev;
}

/* Requests. */

typedef struct Request {
    uint32_t type;
    uint64_t sector;
    VirtQueueElement *elem;
    size_t in_size;             /* without the status byte */
} Request;

/* The iovec without its first `skip` bytes, and no more than `len` bytes. */
static struct iovec *iov_part(const struct iovec *iov, unsigned n, size_t skip, size_t len,
                              unsigned *ret_n)
{
    struct iovec *part = g_new(struct iovec, MAX(n, 1));

    *ret_n = 0;
    for (unsigned i = 0; i < n && len; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t here = MIN(iov[i].iov_len - skip, len);
        part[(*ret_n)++] = (struct iovec){ (char *)iov[i].iov_base + skip, here };
        len -= here;
        skip = 0;
    }
    return part;
}

static bool range_ok(const VirtIOBlk *s, uint64_t sector, uint64_t bytes)
{
    uint64_t total = block_backend_sectors(s->blk), unit = s->logical_block_size;

    return bytes % unit == 0 && sector * BLOCK_SECTOR_SIZE % unit == 0 && sector <= total &&
           bytes / BLOCK_SECTOR_SIZE <= total - sector;
}

static uint8_t transfer(VirtIOBlk *s, Request *r, bool write)
{
    const VirtQueueElement *e = r->elem;
    size_t header = sizeof(uint64_t) * 2, bytes = write ? e->out_size - header : r->in_size;
    unsigned n;

    if (!range_ok(s, r->sector, bytes)) {
        return BLK_S_IOERR;
    }
    g_autofree struct iovec *iov = write ? iov_part(e->out_sg, e->out_num, header, bytes, &n)
                                         : iov_part(e->in_sg, e->in_num, 0, bytes, &n);
    if (!block_backend_rw(s->blk, write, r->sector, iov, n, bytes)) {
        return BLK_S_IOERR;
    }
    if (write && !s->writeback && !block_backend_flush(s->blk)) {
        return BLK_S_IOERR;
    }
    return BLK_S_OK;
}

/* Discard and write-zeroes: one segment of sector, sectors, flags. */
static uint8_t zero(VirtIOBlk *s, Request *r)
{
    bool discard = r->type == BLK_T_DISCARD;
    uint8_t seg[16];
    uint64_t sector;
    uint32_t n, flags;

    if (!(discard ? s->discard : s->write_zeroes)) {
        return BLK_S_UNSUPP;
    }
    if (r->elem->out_size != 2 * sizeof(seg)) {
        return BLK_S_UNSUPP;
    }
    iov_to_buf(r->elem->out_sg, r->elem->out_num, sizeof(seg), seg, sizeof(seg));
    memcpy(&sector, seg, 8);
    memcpy(&n, seg + 8, 4);
    memcpy(&flags, seg + 12, 4);
    sector = GUINT64_FROM_LE(sector);
    n = GUINT32_FROM_LE(n);
    flags = GUINT32_FROM_LE(flags);
    if (flags & ~(discard ? 0u : BLK_SEGMENT_UNMAP)) {
        return BLK_S_UNSUPP;
    }
    if (n > BLK_MAX_ZERO_SECTORS || !range_ok(s, sector, (uint64_t)n * BLOCK_SECTOR_SIZE)) {
        return BLK_S_IOERR;
    }
    return block_backend_zero(s->blk, sector, n, discard) ? BLK_S_OK : BLK_S_IOERR;
}

static uint8_t get_id(VirtIOBlk *s, Request *r)
{
    char id[BLK_ID_BYTES] = { 0 };
    const char *serial = s->serial ? s->serial : "";

    memcpy(id, serial, MIN(strlen(serial), sizeof(id)));
    iov_from_buf(r->elem->in_sg, r->elem->in_num, 0, id, MIN(r->in_size, sizeof(id)));
    return BLK_S_OK;
}

static uint8_t execute(VirtIOBlk *s, Request *r)
{
    switch (r->type & ~BLK_T_BARRIER) {
    case BLK_T_IN:
        return transfer(s, r, /* write= */ false);
    case BLK_T_OUT:
        return transfer(s, r, /* write= */ true);
    case BLK_T_FLUSH:
        return block_backend_flush(s->blk) ? BLK_S_OK : BLK_S_IOERR;
    case BLK_T_GET_ID:
        return get_id(s, r);
    case BLK_T_DISCARD:
    case BLK_T_WRITE_ZEROES:
        return zero(s, r);
    default:
        return BLK_S_UNSUPP;
    }
}

/* False: the guest broke the rules. */
static bool serve(VirtIOBlk *s, VirtQueue *vq, VirtQueueElement *elem)
{
    Request r = { .elem = elem, .in_size = elem->in_size - 1 };
    uint8_t header[16];

    if (!elem->in_size || iov_to_buf(elem->out_sg, elem->out_num, 0, header, sizeof(header)) !=
                              sizeof(header)) {
        virtio_error(&s->vdev, "a request without header or status");
        virtqueue_element_free(elem);
        return false;
    }
    memcpy(&r.type, header, 4);
    memcpy(&r.sector, header + 8, 8);
    r.type = GUINT32_FROM_LE(r.type);
    r.sector = GUINT64_FROM_LE(r.sector);
    uint8_t status = execute(s, &r);
    trace_virtio_blk_request(r.type, r.sector, status);
    iov_from_buf(elem->in_sg, elem->in_num, r.in_size, &status, 1);
    virtqueue_push(vq, elem, elem->in_size);
    return true;
}

static void blk_handle(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtQueueElement *elem;
    bool used = false;

    while ((elem = virtqueue_pop(vq)) && serve(blk_of(vdev), vq, elem)) {
        used = true;
    }
    if (used) {
        virtio_notify(vdev, vq);
    }
}

/* Configuration. */

static void blk_get_config(VirtIODevice *vdev, uint8_t *config)
{
    VirtIOBlk *s = blk_of(vdev);
    uint64_t sectors = block_backend_sectors(s->blk);
    BlkConfig c = {
        .capacity = GUINT64_TO_LE(sectors),
        .seg_max = GUINT32_TO_LE(s->queue_size - 2),
        .cylinders = GUINT16_TO_LE(MIN(sectors / (16 * 63), 16383)),
        .heads = 16,
        .sectors = 63,
        .blk_size = GUINT32_TO_LE(s->logical_block_size),
        .physical_exp = __builtin_ctzll(s->physical_block_size / s->logical_block_size),
        .writeback = s->writeback,
        .num_queues = GUINT16_TO_LE(s->num_queues),
        .max_discard_sectors = GUINT32_TO_LE(BLK_MAX_ZERO_SECTORS),
        .max_discard_seg = GUINT32_TO_LE(1),
        .discard_alignment = GUINT32_TO_LE(s->logical_block_size / BLOCK_SECTOR_SIZE),
        .max_zero_sectors = GUINT32_TO_LE(BLK_MAX_ZERO_SECTORS),
        .max_zero_seg = GUINT32_TO_LE(1),
        .zero_may_unmap = 1,
    };

    memcpy(config, &c, vdev->config_len);
}

static void blk_set_config(VirtIODevice *vdev, const uint8_t *config)
{
    if (virtio_has_feature(vdev, BLK_F_CONFIG_WCE)) {
        blk_of(vdev)->writeback = config[offsetof(BlkConfig, writeback)] & 1;
    }
}

static uint64_t blk_features(VirtIODevice *vdev)
{
    const VirtIOBlk *s = blk_of(vdev);
    uint64_t f = VIRTIO_FEATURE(BLK_F_SEG_MAX) | VIRTIO_FEATURE(BLK_F_GEOMETRY) |
                 VIRTIO_FEATURE(BLK_F_BLK_SIZE) | VIRTIO_FEATURE(BLK_F_TOPOLOGY) |
                 VIRTIO_FEATURE(BLK_F_FLUSH);
    const struct { bool on; unsigned bit; } some[] = {
        { block_backend_is_readonly(s->blk), BLK_F_RO },
        { s->config_wce, BLK_F_CONFIG_WCE },
        { s->num_queues > 1, BLK_F_MQ },
        { s->discard, BLK_F_DISCARD },
        { s->write_zeroes, BLK_F_WRITE_ZEROES },
    };

    for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
        f |= some[i].on ? VIRTIO_FEATURE(some[i].bit) : 0;
    }
    return f;
}

static void reset_cache(VirtIOBlk *s)
{
    s->writeback = s->write_cache != OFF;
}

/* A driver that does not flush has writes that are done when they say so. */
static void blk_set_status(VirtIODevice *vdev, uint8_t status)
{
    VirtIOBlk *s = blk_of(vdev);

    if ((status & VIRTIO_STATUS_DRIVER_OK) && !(vdev->status & VIRTIO_STATUS_DRIVER_OK) &&
        !virtio_has_feature(vdev, BLK_F_FLUSH) && !virtio_has_feature(vdev, BLK_F_CONFIG_WCE)) {
        s->writeback = false;
    }
}

static void blk_reset(VirtIODevice *vdev)
{
    reset_cache(blk_of(vdev));
}

/* Life. */

static bool check_sizes(VirtIOBlk *s, Error **errp)
{
    uint64_t l = s->logical_block_size, p = s->physical_block_size;

    if (l < 512 || l > 4096 || (l & (l - 1)) || p < l || p > 65536 || (p & (p - 1))) {
        error_setg(errp, "virtio-blk: logical_block_size must be 512 to 4096, physical_block_size "
                   "not less, both powers of two");
        return false;
    }
    if (s->queue_size < 4 || s->queue_size > VIRTQUEUE_MAX_SIZE ||
        (s->queue_size & (s->queue_size - 1))) {
        error_setg(errp, "invalid queue-size property (%u), must be a power of 2 (4 to %u)",
                   s->queue_size, VIRTQUEUE_MAX_SIZE);
        return false;
    }
    if (s->num_queues == NUM_QUEUES_AUTO) {
        s->num_queues = current_machine ? MIN(current_machine->smp.cpus, BLK_MAX_QUEUES) : 1;
    }
    if (!s->num_queues || s->num_queues > BLK_MAX_QUEUES) {
        error_setg(errp, "num-queues property must be 1 to %d", BLK_MAX_QUEUES);
        return false;
    }
    return true;
}

static bool attach(VirtIOBlk *s, Error **errp)
{
    static unsigned counter;
    g_autofree char *path = object_path(&s->vdev.dev.obj);

    if (!s->drive) {
        error_setg(errp, "drive property not set");
        return false;
    }
    s->blk = block_backend_by_id(s->drive);
    if (!s->blk) {
        error_setg(errp, "Property 'virtio-blk-device.drive' can't find value '%s'", s->drive);
        return false;
    }
    s->blk->share_rw = s->share_rw;
    if (!block_backend_attach_disk(s->blk, path, errp)) {
        return false;
    }
    s->blk->bootindex = s->bootindex;
    s->blk->position = 16 + counter++; /* behind IDE disks */
    return true;
}

static bool blk_realize(VirtIODevice *vdev, Error **errp)
{
    VirtIOBlk *s = blk_of(vdev);

    if (!check_sizes(s, errp) || !attach(s, errp)) {
        return false;
    }
    if (block_backend_is_readonly(s->blk)) {
        s->discard = s->write_zeroes = false;
    }
    virtio_init(vdev, s->discard || s->write_zeroes ? sizeof(BlkConfig)
                                                    : offsetof(BlkConfig, max_discard_sectors));
    for (unsigned i = 0; i < s->num_queues; i++) {
        virtio_add_queue(vdev, s->queue_size, blk_handle);
    }
    reset_cache(s);
    return true;
}

static void blk_unrealize(VirtIODevice *vdev)
{
    block_backend_detach(blk_of(vdev)->blk);
}

/* Peers may have requests to go on with: one byte 1 before each, 0 ends them. */
static void blk_save(VirtIODevice *vdev, Stream *s)
{
    stream_put_u8(s, 0);
}

static bool blk_load(VirtIODevice *vdev, Stream *s, Error **errp)
{
    uint8_t more = stream_get_u8(s);

    if (more) {
        error_setg(errp, "the stream has disk requests that failed and wait to be tried again: "
                   "not supported");
        return false;
    }
    return !stream_error(s, errp);
}

static bool blk_post_load(VirtIODevice *vdev, Error **errp)
{
    blk_set_config(vdev, vdev->config);
    return true;
}

static const VMStateDescription vmstate_blk = {
    .name = "virtio-blk",
    .version_id = 2,
    .minimum_version_id = 2,
    .fields = (const VMStateField[]){ VMSTATE_VIRTIO_DEVICE, VMSTATE_END_OF_LIST() },
};

#define FIELD(f) .offset = offsetof(VirtIOBlk, f)

static const PropertyInfo blk_props[] = {
    { .name = "drive", .kind = PROP_STRING, FIELD(drive),
      .description = "Node name or ID of a block device to use as a backend" },
    { .name = "bootindex", .kind = PROP_INT32, FIELD(bootindex), .def = "-1" },
    { .name = "serial", .kind = PROP_STRING, FIELD(serial) },
    { .name = "write-cache", .kind = PROP_ENUM, FIELD(write_cache), .type_name = "OnOffAuto",
      .enum_names = on_off_auto, .description = "on/off/auto" },
    { .name = "share-rw", .kind = PROP_BOOL, FIELD(share_rw) },
    { .name = "config-wce", .kind = PROP_BOOL, FIELD(config_wce), .def = "on",
      .description = "on/off" },
    { .name = "discard", .kind = PROP_BOOL, FIELD(discard), .def = "on", .description = "on/off" },
    { .name = "write-zeroes", .kind = PROP_BOOL, FIELD(write_zeroes), .def = "on",
      .description = "on/off" },
    { .name = "num-queues", .kind = PROP_UINT16, FIELD(num_queues), .def = "65535",
      .description = "default: one a CPU" },
    { .name = "queue-size", .kind = PROP_UINT16, FIELD(queue_size), .def = "256" },
    { .name = "logical_block_size", .kind = PROP_SIZE, FIELD(logical_block_size), .def = "512" },
    { .name = "physical_block_size", .kind = PROP_SIZE, FIELD(physical_block_size), .def = "512" },
    { .name = NULL },
};

static const VirtIODeviceClass blk_class = {
    VIRTIO_DEVICE_CLASS(&vmstate_blk, .desc = "disk"),
    .device_id = VIRTIO_ID_BLOCK,
    .get_features = blk_features,
    .realize = blk_realize,
    .unrealize = blk_unrealize,
    .reset = blk_reset,
    .get_config = blk_get_config,
    .set_config = blk_set_config,
    .set_status = blk_set_status,
    .save = blk_save,
    .load = blk_load,
    .post_load = blk_post_load,
};

static const TypeInfo blk_type = {
    .name = "virtio-blk-device",
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VirtIOBlk),
    .props = blk_props,
    .class_data = &blk_class,
};
TYPE_REGISTER(blk_type)
VIRTIO_PCI_TYPE(blk, "virtio-blk-pci", blk_type, 0x0100, VIRTIO_VECTORS_AUTO, "disk",
                "Storage devices")
