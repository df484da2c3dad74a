/*
 * Unit tests of split virtqueues: chains, used buffers, notifications, dirty pages, and
 * everything a hostile guest can write into a ring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/virtio/virtio-private.h"
#include "migration/stream-internal.h"
#include "system/address-space.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "util/bitmap.h"
#include "util/util.h"

#define RAM_SIZE (1 * MiB)
#define N 8
#define DESC 0x1000
#define AVAIL 0x2000
#define USED 0x3000
#define TABLE 0x4000
#define DATA 0x10000

#define NEXT 1
#define WRITE 2
#define INDIRECT 4

static RAMBlock *ram;
static unsigned interrupts;

static uint64_t test_features(VirtIODevice *vdev)
{
    return VIRTIO_FEATURE(VIRTIO_F_VERSION_1) | 1;
}

static unsigned kicks;

static void test_handle(VirtIODevice *vdev, VirtQueue *vq)
{
    kicks++;
}

static bool test_realize(VirtIODevice *vdev, Error **errp)
{
    virtio_init(vdev, 8);
    virtio_add_queue(vdev, N, test_handle);
    return true;
}

static const VMStateDescription vmstate_test = {
    .name = "virtio-test",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){ VMSTATE_VIRTIO_DEVICE, VMSTATE_END_OF_LIST() },
};

static const VirtIODeviceClass test_class = {
    VIRTIO_DEVICE_CLASS(&vmstate_test, .desc = "test"),
    .device_id = VIRTIO_ID_RNG,
    .get_features = test_features,
    .realize = test_realize,
};

static const TypeInfo test_type = {
    .name = "virtio-test-device",
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VirtIODevice),
    .class_data = &test_class,
};
TYPE_REGISTER(test_type)

static void count_interrupt(void *transport, uint16_t vector)
{
    interrupts++;
}

static bool may_access(void *transport)
{
    return true;
}

static void no_save(void *transport, Stream *s)
{
}

static bool no_load(void *transport, Stream *s, Error **errp)
{
    return true;
}

static const VirtIOTransportOps test_ops = {
    .interrupt = count_interrupt,
    .may_access_memory = may_access,
    .save_config = no_save,
    .load_config = no_load,
};

/* A device whose driver has accepted `features` and set up the queue. */
static VirtIODevice *device(uint64_t features)
{
    static VirtIODevice *vdev;

    if (!vdev) {
        vdev = (VirtIODevice *)device_create("virtio-test-device", NULL);
        g_assert_nonnull(vdev);
        vdev->ops = &test_ops;
    }
    memset(ram->host, 0, RAM_SIZE);
    virtio_reset(vdev);
    virtio_set_features(vdev, features | VIRTIO_FEATURE(VIRTIO_F_VERSION_1));
    virtqueue_set_rings(vdev->vq[0], DESC, AVAIL, USED);
    virtio_set_status(vdev, 15);
    interrupts = 0;
    return vdev;
}

static void desc_at(uint64_t table, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                    uint16_t next)
{
    memory_store(table + 16 * i, addr, 8);
    memory_store(table + 16 * i + 8, len, 4);
    memory_store(table + 16 * i + 12, flags, 2);
    memory_store(table + 16 * i + 14, next, 2);
}

static void desc(unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    desc_at(DESC, i, addr, len, flags, next);
}

static void offer(uint16_t head)
{
    uint16_t idx = memory_load(AVAIL + 2, 2);

    memory_store(AVAIL + 4 + 2 * (idx % N), head, 2);
    memory_store(AVAIL + 2, idx + 1, 2);
}

static uint16_t used_idx(void)
{
    return memory_load(USED + 2, 2);
}

static void test_chain(void)
{
    MACHINE_LOCK_GUARD();
    VirtIODevice *vdev = device(0);
    VirtQueue *vq = vdev->vq[0];
    char buf[16];

    g_assert_true(virtqueue_empty(vq));
    g_assert_null(virtqueue_pop(vq));
    desc(0, DATA, 4, NEXT, 2);
    desc(2, DATA + 0x100, 6, NEXT, 1);
    desc(1, DATA + 0x200, 8, WRITE, 0);
    memory_write(DATA, "abcd", 4);
    memory_write(DATA + 0x100, "efghij", 6);
    offer(0);
    g_assert_true(virtqueue_avail_bytes(vq, 8, 10));
    g_assert_false(virtqueue_avail_bytes(vq, 9, 10));
    VirtQueueElement *e = virtqueue_pop(vq);
    g_assert_nonnull(e);
    g_assert_cmpint(e->out_num, ==, 2);
    g_assert_cmpint(e->in_num, ==, 1);
    g_assert_cmpint(e->out_size, ==, 10);
    g_assert_cmpint(e->in_size, ==, 8);
    g_assert_cmpint(iov_to_buf(e->out_sg, e->out_num, 2, buf, sizeof(buf)), ==, 8);
    g_assert_cmpmem(buf, 8, "cdefghij", 8);
    g_assert_cmpint(iov_from_buf(e->in_sg, e->in_num, 3, "xyz", 3), ==, 3);
    virtqueue_push(vq, e, 6);
    virtio_notify(vdev, vq);
    g_assert_cmpint(used_idx(), ==, 1);
    g_assert_cmpint(memory_load(USED + 4, 4), ==, 0);
    g_assert_cmpint(memory_load(USED + 8, 4), ==, 6);
    g_assert_cmpint(memory_load(DATA + 0x203, 1), ==, 'x');
    g_assert_cmpint(interrupts, ==, 1);
    g_assert_cmpint(vdev->isr, ==, 1);
    g_assert_null(virtqueue_pop(vq));
    g_assert_false(vdev->broken);
}

static void test_unpop(void)
{
    MACHINE_LOCK_GUARD();
    VirtQueue *vq = device(0)->vq[0];
    VirtQueueElement *e;

    for (unsigned i = 0; i < N; i++) {
        desc(i, DATA + 0x100 * i, 16, WRITE, 0);
        offer(i);
    }
    virtqueue_unpop(vq, virtqueue_pop(vq));
    for (unsigned round = 0; round < N; round++) {
        e = virtqueue_pop(vq);
        g_assert_cmpint(e->index, ==, round);
        virtqueue_element_free(e);
    }
    g_assert_null(virtqueue_pop(vq));
    g_assert_false(virtqueue_rewind(vq, N + 1));
    g_assert_true(virtqueue_rewind(vq, 2));
    e = virtqueue_pop(vq);
    g_assert_cmpint(e->index, ==, N - 2);
    virtqueue_push(vq, e, 0);
}

static void test_indirect(void)
{
    MACHINE_LOCK_GUARD();
    VirtIODevice *vdev = device(VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC));

    desc_at(TABLE, 0, DATA, 4, NEXT, 9);
    desc_at(TABLE, 9, DATA + 8, 4, NEXT | WRITE, 3);
    desc_at(TABLE, 3, DATA + 16, 4, WRITE, 0);
    desc(5, TABLE, 16 * 10, INDIRECT, 0);
    offer(5);
    VirtQueueElement *e = virtqueue_pop(vdev->vq[0]);
    g_assert_nonnull(e);
    g_assert_cmpint(e->index, ==, 5);
    g_assert_cmpint(e->out_num, ==, 1);
    g_assert_cmpint(e->in_num, ==, 2);
    virtqueue_push(vdev->vq[0], e, 8);
}

static void test_event_idx(void)
{
    MACHINE_LOCK_GUARD();
    VirtIODevice *vdev = device(VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX));
    VirtQueue *vq = vdev->vq[0];

    desc(0, DATA, 4, WRITE, 0);
    for (unsigned i = 0; i < 4; i++) {
        /* The driver wants to hear of the third buffer only (the first is always told). */
        memory_store(AVAIL + 4 + 2 * N, 2, 2);
        offer(0);
        virtqueue_push(vq, virtqueue_pop(vq), 0);
        virtio_notify(vdev, vq);
        g_assert_cmpint(memory_load(USED + 4 + 8 * N, 2), ==, i + 1);
        g_assert_cmpint(interrupts, ==, i < 2 ? 1 : 2);
    }
    virtqueue_set_notification(vq, false);
    offer(0);
    virtqueue_push(vq, virtqueue_pop(vq), 0);
    g_assert_cmpint(memory_load(USED + 4 + 8 * N, 2), ==, 4);
    virtqueue_set_notification(vq, true);
    g_assert_cmpint(memory_load(USED + 4 + 8 * N, 2), ==, 5);
}

static void test_no_interrupt(void)
{
    MACHINE_LOCK_GUARD();
    VirtIODevice *vdev = device(0);
    VirtQueue *vq = vdev->vq[0];

    desc(0, DATA, 4, WRITE, 0);
    memory_store(AVAIL, 1, 2);
    offer(0);
    virtqueue_push(vq, virtqueue_pop(vq), 0);
    virtio_notify(vdev, vq);
    g_assert_cmpint(interrupts, ==, 0);
    virtqueue_set_notification(vq, false);
    g_assert_cmpint(memory_load(USED, 2), ==, 1);
    virtqueue_set_notification(vq, true);
    g_assert_cmpint(memory_load(USED, 2), ==, 0);
}

/* What the device writes is found by a migration. */
static void test_dirty(void)
{
    MACHINE_LOCK_GUARD();
    VirtQueue *vq = device(0)->vq[0];

    desc(0, DATA, 0x3000, WRITE, 0);
    offer(0);
    g_assert_true(dirty_log_start(NULL));
    VirtQueueElement *e = virtqueue_pop(vq);
    memset(e->in_sg[0].iov_base, 0x5a, 0x1001);
    virtqueue_push(vq, e, 0x1001);
    for (unsigned page = 0; page < RAM_SIZE / TARGET_PAGE_SIZE; page++) {
        bool want = page == USED >> 12 || page == DATA >> 12 || page == (DATA >> 12) + 1;

        g_assert_cmpint(bitmap_test(ram->dirty, page), ==, want);
    }
    dirty_log_stop();
}

/* Each breaks the rules in one way; the device must notice, once, and stay deaf. */
static void expect_broken(VirtIODevice *vdev)
{
    g_assert_null(virtqueue_pop(vdev->vq[0]));
    g_assert_true(vdev->broken);
    g_assert_cmphex(vdev->status, ==, 15 | VIRTIO_STATUS_NEEDS_RESET);
    g_assert_cmphex(vdev->isr, ==, 2);
    g_assert_cmpint(interrupts, ==, 1);
    kicks = 0;
    virtio_kick(vdev, 0);
    g_assert_cmpint(kicks, ==, 0);
    g_assert_cmpint(used_idx(), ==, 0);
}

static void test_hostile_chains(void)
{
    MACHINE_LOCK_GUARD();
    const uint64_t indirect = VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
    const struct {
        const char *what;
        uint64_t features, addr;
        uint32_t len;
        uint16_t flags, next;
    } cases[] = {
        { "loop on itself", 0, DATA, 4, NEXT, 0 },
        { "next out of range", 0, DATA, 4, NEXT, N },
        { "no memory", 0, RAM_SIZE, 4, 0, 0 },
        { "end beyond memory", 0, RAM_SIZE - 2, 4, 0, 0 },
        { "address wraps", 0, UINT64_MAX - 1, 4, 0, 0 },
        { "huge", 0, DATA, UINT32_MAX, WRITE, 0 },
        { "empty", 0, DATA, 0, 0, 0 },
        { "indirect not negotiated", 0, TABLE, 16, INDIRECT, 0 },
        { "indirect with next", indirect, TABLE, 16, INDIRECT | NEXT, 1 },
        { "indirect of odd length", indirect, TABLE, 17, INDIRECT, 0 },
        { "indirect of nothing", indirect, TABLE, 0, INDIRECT, 0 },
        { "indirect too long", indirect, TABLE, 16 * 1025, INDIRECT, 0 },
        { "indirect outside", indirect, RAM_SIZE + 16, 16, INDIRECT, 0 },
        { "indirect in indirect", indirect, DESC, 16, INDIRECT, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        VirtIODevice *vdev = device(cases[i].features);

        g_test_message("%s", cases[i].what);
        desc(0, cases[i].addr, cases[i].len, cases[i].flags, cases[i].next);
        offer(0);
        expect_broken(vdev);
    }
}

static void test_hostile_rings(void)
{
    MACHINE_LOCK_GUARD();
    VirtIODevice *vdev = device(0);

    offer(N); /* head out of range */
    expect_broken(vdev);
    vdev = device(0);
    memory_store(AVAIL + 2, N + 1, 2); /* more than there are */
    expect_broken(vdev);
    vdev = device(0);
    desc(0, DATA, 4, WRITE, 1); /* reads after writes */
    desc(0, DATA, 4, WRITE | NEXT, 1);
    desc(1, DATA, 4, 0, 0);
    offer(0);
    expect_broken(vdev);
    const uint64_t bad[] = { RAM_SIZE - 1, RAM_SIZE, UINT64_MAX - 16 };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        vdev = device(0);
        virtqueue_set_rings(vdev->vq[0], bad[i], AVAIL, USED);
        offer(0);
        expect_broken(vdev);
        vdev = device(0);
        virtqueue_set_rings(vdev->vq[0], DESC, bad[i], USED);
        expect_broken(vdev);
        vdev = device(0);
        desc(0, DATA, 4, WRITE, 0);
        offer(0);
        virtqueue_set_rings(vdev->vq[0], DESC, AVAIL, bad[i]);
        virtqueue_push(vdev->vq[0], virtqueue_pop(vdev->vq[0]), 4);
        expect_broken(vdev);
    }
    vdev = device(0); /* and a reset heals it */
    g_assert_false(vdev->broken);
    desc(0, DATA, 4, WRITE, 0);
    offer(0);
    VirtQueueElement *e = virtqueue_pop(vdev->vq[0]);
    g_assert_nonnull(e);
    virtqueue_push(vdev->vq[0], e, 0);
}

/* Nothing may be touched while the machine stands still. */
static void test_stopped(void)
{
    MACHINE_LOCK_GUARD();
    VirtIODevice *vdev = device(0);

    desc(0, DATA, 4, WRITE, 0);
    offer(0);
    runstate_set(RUN_STATE_PAUSED);
    g_assert_null(virtqueue_pop(vdev->vq[0]));
    g_assert_false(vdev->broken);
    runstate_set(RUN_STATE_RUNNING);
    VirtQueueElement *e = virtqueue_pop(vdev->vq[0]);
    g_assert_nonnull(e);
    virtqueue_push(vdev->vq[0], e, 0);
}

static GByteArray *save(VirtIODevice *vdev)
{
    GByteArray *bytes = g_byte_array_new();
    g_autoptr(Stream) s = stream_new_output_memory();
    size_t len;

    g_assert_true(vmstate_save(s, &vmstate_test, vdev, NULL));
    const void *data = stream_memory_data(s, &len);
    return g_byte_array_append(bytes, data, len);
}

static bool load(VirtIODevice *vdev, const void *data, size_t len, Error **errp)
{
    g_autoptr(Stream) s = stream_new_input_memory(data, len);

    return vmstate_load(s, &vmstate_test, vdev, 1, errp);
}

static void test_save(void)
{
    MACHINE_LOCK_GUARD();
    VirtIODevice *vdev = device(1);
    VirtQueue *vq = vdev->vq[0];
    g_autoptr(Error) err = NULL;

    desc(3, DATA, 4, WRITE, 0);
    offer(3);
    offer(3);
    virtqueue_push(vq, virtqueue_pop(vq), 4);
    virtqueue_element_free(virtqueue_pop(vq)); /* the device holds on to it */
    vdev->config[3] = 0x77;
    g_autoptr(GByteArray) bytes = save(vdev);
    virtio_reset(vdev);
    vdev->config[3] = 0;
    g_assert_true(load(vdev, bytes->data, bytes->len, &err));
    g_assert_cmphex(vdev->status, ==, 15);
    g_assert_cmphex(vdev->guest_features, ==, VIRTIO_FEATURE(VIRTIO_F_VERSION_1) | 1);
    g_assert_cmphex(vdev->config[3], ==, 0x77);
    g_assert_cmphex(vq->desc, ==, DESC);
    g_assert_cmphex(vq->avail, ==, AVAIL);
    g_assert_cmphex(vq->used, ==, USED);
    g_assert_true(virtqueue_rewind(vq, 1));
    VirtQueueElement *e = virtqueue_pop(vq);
    g_assert_cmpint(e->index, ==, 3);
    virtqueue_push(vq, e, 0);
    g_assert_cmpint(used_idx(), ==, 2);
}

/* Cut before its subsections the stream is refused; a feature that is not there too. */
static void test_load_hostile(void)
{
    MACHINE_LOCK_GUARD();
    VirtIODevice *vdev = device(0);
    g_autoptr(GByteArray) bytes = save(vdev);
    g_autoptr(Error) err = NULL;

    for (guint len = 0; len < 38; len++) {
        g_assert_false(load(vdev, bytes->data, len, NULL));
    }
    uint8_t *features = bytes->data + 4, *queues = bytes->data + 8 + 4 + 8;
    features[3] |= 2;
    /* 31:0 come again in the subsection, which is what counts: there, too */
    uint8_t *sub = memmem(bytes->data, bytes->len, "64bit_features", 14);
    g_assert_nonnull(sub);
    sub[14 + 4 + 7] |= 2;
    g_assert_false(load(vdev, bytes->data, bytes->len, &err));
    g_assert_nonnull(strstr(err->message, "features 0x2 that"));
    g_clear_error(&err);
    sub[14 + 4 + 7] &= ~2;
    g_assert_true(load(vdev, bytes->data, bytes->len, NULL));
    queues[3] = 2; /* more queues than here */
    g_assert_false(load(vdev, bytes->data, bytes->len, NULL));
    queues[3] = 1;
    queues[7] = 3; /* entries: no power of two */
    g_assert_false(load(vdev, bytes->data, bytes->len, NULL));
    queues[7] = N;
    g_assert_true(load(vdev, bytes->data, bytes->len, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    {
        MACHINE_LOCK_GUARD();
        RAMBlockOptions opts = { .fd = -1 };

        ram = ramblock_new("ram", RAM_SIZE, &opts, NULL);
        memory_map_ram(0, RAM_SIZE, ram, 0, false);
        runstate_set(RUN_STATE_RUNNING);
        bus_new("virtio-bus", "virtio-bus");
    }
    g_test_add_func("/virtio/chain", test_chain);
    g_test_add_func("/virtio/unpop", test_unpop);
    g_test_add_func("/virtio/indirect", test_indirect);
    g_test_add_func("/virtio/event-idx", test_event_idx);
    g_test_add_func("/virtio/no-interrupt", test_no_interrupt);
    g_test_add_func("/virtio/dirty", test_dirty);
    g_test_add_func("/virtio/hostile/chains", test_hostile_chains);
    g_test_add_func("/virtio/hostile/rings", test_hostile_rings);
    g_test_add_func("/virtio/stopped", test_stopped);
    g_test_add_func("/virtio/save", test_save);
    g_test_add_func("/virtio/load-hostile", test_load_hostile);
    return g_test_run();
}
