/*
 * Fuzz target: device state.  The first byte chooses a registered device of a PC (or a
 * description with every kind of field), or with NAMED a name and an instance follow, as in the header of
 * a section; the next byte is a version.  The rest is the body of the section; with PATCH, changes of
 * what the device would save now.  What loads must also save, and then a guest touches every port
 * and register: no state may lead it outside of anything.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fuzz.h"
#include "migration/savevm.h"
#include "migration/stream-internal.h"
#include "system/address-space.h"
#include "system/clock.h"
#include "system/machine-lock.h"
#include "util/util.h"

#define NAMED 0x80
#define PATCH 0x80 /* of the version */
#define SOME_TIME_NS (2 * 1000 * 1000)

/* ---- a description with the kinds of fields that devices have seldom or never ---- */

typedef struct Item {
    uint16_t a;
    uint8_t b[3];
} Item;

typedef struct Kinds {
    bool flag;
    uint8_t count;
    uint32_t size;
    uint8_t *blob;
    Item items[5];
    uint32_t words[7];
    Timer timer;
    unsigned long bits[2];
    int64_t extra;
} Kinds;

static const VMStateDescription vmstate_item = {
    .name = "item", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT16(a, Item),
        VMSTATE_UINT8_ARRAY(b, Item, 3),
        VMSTATE_END_OF_LIST()
    },
};

static bool extra_needed(void *opaque)
{
    return ((Kinds *)opaque)->extra != 0;
}

static const VMStateDescription vmstate_extra = {
    .name = "kinds/extra", .version_id = 1, .minimum_version_id = 1, .needed = extra_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_INT64(extra, Kinds),
        VMSTATE_END_OF_LIST()
    },
};

static bool flag_is_set(void *opaque, int version_id)
{
    return ((Kinds *)opaque)->flag;
}

static const VMStateDescription vmstate_kinds = {
    .name = "kinds", .version_id = 3, .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(flag, Kinds),
        VMSTATE_UINT8_V(count, Kinds, 2),
        VMSTATE_STRUCT_VARRAY(items, Kinds, count, 5, 2, vmstate_item, Item),
        VMSTATE_UINT32(size, Kinds),
        VMSTATE_VBUFFER_ALLOC_UINT32(blob, Kinds, 0, size, 4096),
        VMSTATE_VARRAY_FULL(words, Kinds, count, 7, 3, vmstate_info_uint32, uint32_t),
        VMSTATE_TIMER(timer, Kinds),
        { .name = "bits", .info = &vmstate_info_bitmap, .offset = offsetof(Kinds, bits),
          .size = 70 },
        VMSTATE_UNUSED(5),
        VMSTATE_VALIDATE("the flag is set", flag_is_set),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_extra, NULL },
};

static void timer_fired(void *opaque)
{
}

/* True: it was loaded. */
static bool load_and_save(const VMStateDescription *vmsd, void *state, int version,
                          const void *data, size_t len)
{
    g_autoptr(Stream) s = stream_new_input_memory(data, len);
    g_autoptr(Stream) out = stream_new_output_memory();
    Error *err = NULL;
    bool ok = vmstate_load(s, vmsd, state, version, &err), saved;

    g_assert(ok == !err);
    g_clear_error(&err);
    if (ok) {
        saved = vmstate_save(out, vmsd, state, &err);
        g_assert(saved == !err);
        g_clear_error(&err);
    }
    return ok;
}

static void kinds(int version, FuzzInput *in)
{
    Kinds k = { 0 };

    timer_init(&k.timer, timer_fired, NULL);
    load_and_save(&vmstate_kinds, &k, 1 + version % 3, in->data, in->len);
    timer_del(&k.timer);
    g_free(k.blob);
}

/* What the device would save, changed byte by byte: position (16 bits), value. */
static bool load_patched(const VMStateDescription *vmsd, void *state, int version, FuzzInput *in)
{
    g_autoptr(Stream) out = stream_new_output_memory();
    g_autofree uint8_t *body = NULL;
    const void *saved;
    size_t len;

    if (!vmstate_save(out, vmsd, state, NULL)) {
        return false;
    }
    saved = stream_memory_data(out, &len);
    body = g_memdup2(saved, len);
    while (in->len && len) {
        size_t at = fuzz_take_u8(in) << 8;

        at |= fuzz_take_u8(in);
        body[at % len] = fuzz_take_u8(in);
    }
    return load_and_save(vmsd, state, version, body, len);
}

/* What a guest may do next. */
static void touch_everything(void)
{
    static const uint64_t mmio[] = { 0xfec00000, 0xfed00000, 0xfee00000 };

    for (unsigned port = 0; port < 0x700; port++) {
        ioport_read(port, 1);
    }
    for (unsigned port = 0; port < 0x700; port++) {
        ioport_write(port, port * 7 + 1, 1);
    }
    for (unsigned at = 0; at < 32 << 11; at += 64) { /* configuration of PCI's bus 0 */
        ioport_write(0xcf8, 0x80000000 | at, 4);
        ioport_write(0xcfc, ioport_read(0xcfc, 4), 4);
    }
    ioport_read(0x1f0, 4);
    ioport_write(0x1f0, 0x12345678, 4);
    for (size_t i = 0; i < ARRAY_SIZE(mmio); i++) {
        for (unsigned at = 0; at < 0x400; at += 16) {
            memory_load(mmio[i] + at, 4);
            memory_store(mmio[i] + at, at, 4);
        }
    }
    virtual_clock_warp_to(virtual_clock_ns() + SOME_TIME_NS);
}

static GBytes *good[256]; /* of each entry of the registry: what it saved at first */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const GPtrArray *entries;

    fuzz_make_pc(4 * MiB);
    MACHINE_LOCK_GUARD();
    entries = save_registry()->entries;
    g_assert(entries->len < ARRAY_SIZE(good));
    for (guint i = 0; i < entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(entries, i);
        g_autoptr(Stream) out = stream_new_output_memory();

        if (e->vmsd && vmstate_save(out, e->vmsd, e->opaque, NULL)) {
            size_t len;
            const void *data = stream_memory_data(out, &len);

            good[i] = g_bytes_new(data, len);
        }
    }
    return 0;
}

/* The next input meets the machine that this one met; a load that failed leaves half a state. */
static void restore(void)
{
    const GPtrArray *entries = save_registry()->entries;

    for (guint i = 0; i < entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(entries, i);

        if (good[i]) {
            g_autoptr(Stream) s = stream_new_input_gbytes(good[i]);

            /* (Only the run state, which has not been stored yet, does not load as it is.) */
            vmstate_load(s, e->vmsd, e->opaque, e->vmsd->version_id, NULL);
        }
    }
}

static const SaveEntry *choose(unsigned first, FuzzInput *in)
{
    const GPtrArray *entries = save_registry()->entries;
    char name[256] = "";
    size_t len;

    if (!(first & NAMED)) {
        return first % (entries->len + 1) == entries->len
                   ? NULL : g_ptr_array_index(entries, first % (entries->len + 1));
    }
    len = fuzz_take_u8(in);
    for (size_t i = 0; i < len; i++) {
        name[i] = fuzz_take_u8(in);
    }
    return save_registry_find(save_registry(), name, fuzz_take_u8(in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    unsigned first = fuzz_take_u8(&in), version, versions;
    const VMStateDescription *vmsd;
    const SaveEntry *e;
    bool loaded;

    MACHINE_LOCK_GUARD();
    e = choose(first, &in);
    version = fuzz_take_u8(&in);
    if (!e) {
        kinds(version, &in);
        return 0;
    }
    vmsd = e->vmsd;
    if (!vmsd) {
        return 0;
    }
    versions = vmsd->version_id - vmsd->minimum_version_id + 1;
    if (version & PATCH) {
        loaded = load_patched(vmsd, e->opaque, vmsd->version_id, &in);
    } else {
        loaded = load_and_save(vmsd, e->opaque, vmsd->version_id - version % versions, in.data,
                               in.len);
    }
    if (loaded) {
        fuzz_isolate(true);
        touch_everything();
        fuzz_run_main_loop();
        fuzz_isolate(false);
    }
    restore();
    return 0;
}
