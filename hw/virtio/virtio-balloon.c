/*
 * virtio-balloon: memory that the guest does without (virtio 1.1, 5.5), and its statistics.
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/core/machine.h"
#include "hw/virtio/virtio.h"
#include "monitor/hmp.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-events.h"
#include "qapi/visit.h"
#include "system/address-space.h"
#include "system/clock.h"
#include "system/dirty.h"
#include "trace/hw.h"
#include "util/util.h"

enum { F_STATS_VQ = 1, F_DEFLATE_ON_OOM = 2, F_PAGE_POISON = 4 };
enum { QUEUE_SIZE = 128, CONFIG_SIZE = 16, PFN_SHIFT = 12, STAT_ENTRY = 10 };

/* Statistics, in the order of their tags (5.5.6.4). */
static const char *const stat_names[] = {
    "stat-swap-in",        "stat-swap-out",         "stat-major-faults", "stat-minor-faults",
    "stat-free-memory",    "stat-total-memory",     "stat-available-memory",
    "stat-disk-caches",    "stat-htlb-pgalloc",     "stat-htlb-pgfail",
};

typedef struct VirtIOBalloon {
    VirtIODevice vdev;
    bool deflate_on_oom, page_poison; /* properties */
    uint32_t num_pages;     /* the guest should do without so many */
    uint32_t actual;        /* it says that it does */
    uint32_t poison_val;
    VirtQueue *inflate, *deflate, *stats;
    VirtQueueElement *stats_elem; /* given back when new statistics are wanted; NULL: none */
    uint64_t stat[ARRAY_SIZE(stat_names)];
    int64_t stats_time;     /* seconds since 1970; 0: none came */
    int64_t stats_interval; /* seconds; 0: never */
    Timer stats_timer;
} VirtIOBalloon;

static VirtIOBalloon *balloon; /* the one that there is; machine lock */

static uint64_t ram_size(void)
{
    return current_machine->ram_size;
}

/* ---- inflating and deflating ---- */

/*
 * The page is given back.  Its contents are of no interest to the guest until it takes it out
 * of the balloon; that they change is for a migration to know.  Memory with pages larger than
 * the guest's is kept.
 */
static void give_back(uint64_t gpa)
{
    const RamRegion *r = memory_find_ram(gpa);
    uint64_t offset = r ? r->rb_offset + (gpa - r->gpa) : 0;

    if (!r || r->readonly || r->rb->page_size != TARGET_PAGE_SIZE ||
        r->size - (gpa - r->gpa) < TARGET_PAGE_SIZE || ramblock_discard_inhibited()) {
        return;
    }
    if (ramblock_discard(r->rb, offset, TARGET_PAGE_SIZE, NULL)) {
        ram_mark_dirty(r->rb, offset, TARGET_PAGE_SIZE);
    }
}

/* Numbers of pages, 32 bits each. */
static void handle_pages(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIOBalloon *b = (VirtIOBalloon *)vdev;
    VirtQueueElement *e;
    bool used = false;

    while ((e = virtqueue_pop(vq))) {
        uint32_t pfns[256];
        size_t at = 0, n;

        while ((n = iov_to_buf(e->out_sg, e->out_num, at, pfns, sizeof(pfns))) >= sizeof(*pfns)) {
            n -= n % sizeof(*pfns);
            for (size_t i = 0; vq == b->inflate && i < n / sizeof(*pfns); i++) {
                give_back((uint64_t)GUINT32_FROM_LE(pfns[i]) << PFN_SHIFT);
            }
            at += n;
        }
        trace_balloon_pages(vq == b->inflate, at / sizeof(*pfns));
        virtqueue_push(vq, e, 0);
        used = true;
    }
    if (used) {
        virtio_notify(vdev, vq);
    }
}

/* ---- statistics ---- */

static void stats_forget(VirtIOBalloon *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(b->stat); i++) {
        b->stat[i] = UINT64_MAX; /* "not known" */
    }
}

static void stats_arm(VirtIOBalloon *b)
{
    if (b->stats_interval) {
        timer_mod(&b->stats_timer, virtual_clock_ns() + b->stats_interval * NS_PER_SEC);
    } else {
        timer_del(&b->stats_timer);
    }
}

static void stats_parse(VirtIOBalloon *b, const VirtQueueElement *e)
{
    uint8_t entry[STAT_ENTRY];

    stats_forget(b);
    for (size_t at = 0; iov_to_buf(e->out_sg, e->out_num, at, entry, STAT_ENTRY) == STAT_ENTRY;
         at += STAT_ENTRY) {
        unsigned tag = entry[0] | entry[1] << 8;
        uint64_t value;

        memcpy(&value, entry + 2, sizeof(value));
        if (tag < ARRAY_SIZE(b->stat)) {
            b->stat[tag] = GUINT64_FROM_LE(value);
        }
    }
    b->stats_time = g_get_real_time() / G_USEC_PER_SEC;
}

/*
 * New statistics.  The buffer is kept: giving it back is how the driver is asked for others.
 * One that was held when the machine was saved is in use, and held by nobody here.
 */
static void handle_stats(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIOBalloon *b = (VirtIOBalloon *)vdev;
    VirtQueueElement *e;

    if (!b->stats_elem) {
        virtqueue_rewind(vq, 1);
    }
    while ((e = virtqueue_pop(vq))) {
        if (b->stats_elem) { /* a driver should not; nobody waits for the older one */
            virtqueue_push(vq, b->stats_elem, 0);
            virtio_notify(vdev, vq);
        }
        b->stats_elem = e;
        stats_parse(b, e);
    }
    stats_arm(b);
}

static void stats_ask(void *opaque)
{
    VirtIOBalloon *b = opaque;

    if (b->stats_elem && virtqueue_ready(b->stats)) {
        virtqueue_push(b->stats, g_steal_pointer(&b->stats_elem), 0);
        virtio_notify(&b->vdev, b->stats);
    } else {
        stats_arm(b); /* no driver yet, or it has not answered */
    }
}

static JsonNode *get_stats(Object *obj, const PropertyInfo *p, Error **errp)
{
    const VirtIOBalloon *b = (const VirtIOBalloon *)obj;
    JsonObject *stats = json_object_new(), *top = json_object_new();

    for (size_t i = 0; i < ARRAY_SIZE(b->stat); i++) {
        json_object_set_member(stats, stat_names[i], qapi_node_uint64(b->stat[i]));
    }
    json_object_set_object_member(top, "stats", stats);
    json_object_set_int_member(top, "last-update", b->stats_time);
    return qapi_node_object(top);
}

static JsonNode *get_interval(Object *obj, const PropertyInfo *p, Error **errp)
{
    return json_node_init_int(json_node_alloc(), ((const VirtIOBalloon *)obj)->stats_interval);
}

static bool set_interval(Object *obj, const PropertyInfo *p, JsonNode *value, Error **errp)
{
    VirtIOBalloon *b = (VirtIOBalloon *)obj;
    int64_t seconds = -1;
    bool number = JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_INT64;

    if (number) {
        seconds = json_node_get_int(value);
    }
    if (seconds < 0 || seconds > UINT32_MAX) {
        error_setg(errp, "guest-stats-polling-interval is a number of seconds from 0 to 4294967295");
        return false;
    }
    b->stats_interval = seconds;
    stats_arm(b);
    if (seconds && b->stats_elem) {
        timer_mod(&b->stats_timer, virtual_clock_ns()); /* the first at once */
    }
    return true;
}

/* ---- monitor ---- */

static bool need_balloon(Error **errp)
{
    if (!balloon) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_ACTIVE, "No balloon device has been activated");
    }
    return balloon != NULL;
}

bool qmp_balloon(const BalloonArgs *args, Error **errp)
{
    uint64_t target = args->value;

    if (!need_balloon(errp)) {
        return false;
    }
    if (args->value <= 0) {
        error_setg(errp, "Parameter 'target' expects a size");
        return false;
    }
    target = MIN(target, ram_size());
    balloon->num_pages = (ram_size() - target) >> PFN_SHIFT;
    virtio_notify_config(&balloon->vdev);
    trace_balloon_target(target);
    return true;
}

static uint64_t guest_bytes(const VirtIOBalloon *b)
{
    return ram_size() - MIN((uint64_t)b->actual << PFN_SHIFT, ram_size());
}

BalloonInfo *qmp_query_balloon(Error **errp)
{
    BalloonInfo *info;

    if (!need_balloon(errp)) {
        return NULL;
    }
    info = g_new0(BalloonInfo, 1);
    info->actual = guest_bytes(balloon);
    return info;
}

static void hmp_balloon(HmpSession *s, JsonObject *args)
{
    BalloonArgs qargs = { .value = hmp_arg_int(args, "value", 0) };
    Error *err = NULL;

    qmp_balloon(&qargs, &err);
    hmp_error(s, err);
}

static void info_balloon(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;
    g_autoptr(BalloonInfo) info = qmp_query_balloon(&err);

    if (!hmp_error(s, err)) {
        hmp_printf(s, "balloon: actual=%" G_GINT64_FORMAT "\n", info->actual >> 20);
    }
}

static const HmpCommand balloon_commands[] = {
    { "balloon", "value:o", "target", "ask the guest to use this much memory (in MiB)",
      hmp_balloon },
    { NULL },
};
HMP_COMMANDS(balloon_commands)

static const HmpCommand balloon_info[] = {
    { "balloon", "", "", "memory that the guest uses", info_balloon },
    { NULL },
};
HMP_INFO(balloon_info)

/* ---- the device ---- */

static uint64_t balloon_features(VirtIODevice *vdev)
{
    const VirtIOBalloon *b = (const VirtIOBalloon *)vdev;

    return VIRTIO_FEATURE(F_STATS_VQ) |
           (b->deflate_on_oom ? VIRTIO_FEATURE(F_DEFLATE_ON_OOM) : 0) |
           (b->page_poison ? VIRTIO_FEATURE(F_PAGE_POISON) : 0);
}

/* num_pages, actual, an unused number, poison_val */
static void balloon_get_config(VirtIODevice *vdev, uint8_t *config)
{
    const VirtIOBalloon *b = (const VirtIOBalloon *)vdev;
    const uint32_t words[4] = { GUINT32_TO_LE(b->num_pages), GUINT32_TO_LE(b->actual), 0,
                                GUINT32_TO_LE(b->poison_val) };

    memcpy(config, words, vdev->config_len);
}

static void balloon_set_config(VirtIODevice *vdev, const uint8_t *config)
{
    VirtIOBalloon *b = (VirtIOBalloon *)vdev;
    uint32_t words[4] = { 0 }, before = b->actual;

    memcpy(words, config, vdev->config_len);
    b->actual = GUINT32_FROM_LE(words[1]);
    b->poison_val = virtio_has_feature(vdev, F_PAGE_POISON) ? GUINT32_FROM_LE(words[3]) : 0;
    if (b->actual != before) {
        qapi_event_send_balloon_change(guest_bytes(b));
    }
}

static void balloon_reset(VirtIODevice *vdev)
{
    VirtIOBalloon *b = (VirtIOBalloon *)vdev;

    virtqueue_element_free(g_steal_pointer(&b->stats_elem));
    b->poison_val = 0;
}

static bool balloon_realize(VirtIODevice *vdev, Error **errp)
{
    VirtIOBalloon *b = (VirtIOBalloon *)vdev;

    if (balloon) {
        error_setg(errp, "Only one balloon device is supported");
        return false;
    }
    virtio_init(vdev, b->page_poison ? CONFIG_SIZE : CONFIG_SIZE / 2);
    b->inflate = virtio_add_queue(vdev, QUEUE_SIZE, handle_pages);
    b->deflate = virtio_add_queue(vdev, QUEUE_SIZE, handle_pages);
    b->stats = virtio_add_queue(vdev, QUEUE_SIZE, handle_stats);
    timer_init(&b->stats_timer, stats_ask, b);
    stats_forget(b);
    stats_arm(b);
    balloon = b;
    return true;
}

static void balloon_unrealize(VirtIODevice *vdev)
{
    VirtIOBalloon *b = (VirtIOBalloon *)vdev;

    balloon_reset(vdev);
    timer_del(&b->stats_timer);
    balloon = NULL;
}

/* Loaded over a device that was in use: what it held is not of this guest. */
static bool balloon_post_load(VirtIODevice *vdev, Error **errp)
{
    VirtIOBalloon *b = (VirtIOBalloon *)vdev;

    virtqueue_element_free(g_steal_pointer(&b->stats_elem));
    stats_arm(b);
    return true;
}

static bool poison_needed(void *opaque)
{
    return virtio_has_feature(opaque, F_PAGE_POISON);
}

static const VMStateDescription vmstate_poison = {
    .name = "virtio-balloon-device/page-poison",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = poison_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(poison_val, VirtIOBalloon),
        VMSTATE_END_OF_LIST(),
    },
};

static const VMStateDescription vmstate_balloon_device = {
    .name = "virtio-balloon-device",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(num_pages, VirtIOBalloon),
        VMSTATE_UINT32(actual, VirtIOBalloon),
        VMSTATE_END_OF_LIST(),
    },
    .subsections = (const VMStateDescription *const[]){ &vmstate_poison, NULL },
};

static const VMStateDescription vmstate_balloon = {
    .name = "virtio-balloon",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){ VMSTATE_VIRTIO_DEVICE, VMSTATE_END_OF_LIST() },
};

static const PropertyInfo balloon_props[] = {
    { .name = "deflate-on-oom", .kind = PROP_BOOL, .offset = offsetof(VirtIOBalloon, deflate_on_oom),
      .description = "the guest may take pages back when it is short of memory" },
    { .name = "page-poison", .kind = PROP_BOOL, .offset = offsetof(VirtIOBalloon, page_poison),
      .def = "true", .description = "the guest says what it fills free pages with" },
    { .name = "guest-stats", .kind = PROP_CUSTOM, .type_name = "guest statistics",
      .get = get_stats, .readonly = true },
    { .name = "guest-stats-polling-interval", .kind = PROP_CUSTOM, .type_name = "int",
      .get = get_interval, .set = set_interval, .settable_live = true,
      .description = "seconds between two questions for statistics, 0: none are asked" },
    { .name = NULL },
};

static const VirtIODeviceClass balloon_class = {
    VIRTIO_DEVICE_CLASS(&vmstate_balloon, .desc = "memory balloon"),
    .device_id = VIRTIO_ID_BALLOON,
    .get_features = balloon_features,
    .realize = balloon_realize,
    .unrealize = balloon_unrealize,
    .reset = balloon_reset,
    .get_config = balloon_get_config,
    .set_config = balloon_set_config,
    .state = &vmstate_balloon_device,
    .post_load = balloon_post_load,
};

static const TypeInfo balloon_type = {
    .name = "virtio-balloon-device",
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VirtIOBalloon),
    .props = balloon_props,
    .class_data = &balloon_class,
};
TYPE_REGISTER(balloon_type)
VIRTIO_PCI_TYPE(balloon, "virtio-balloon-pci", balloon_type, 0x00ff, 0, "memory balloon",
                "Misc devices")
