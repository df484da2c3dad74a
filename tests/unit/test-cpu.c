/*
 * The x86 CPU: saved state against recorded streams, models, options, CPUID, address
 * translation, description.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/timer/i8254.h"
#include "migration/stream-internal.h"
#include "migration/vmstate.h"
#include "system/address-space.h"
#include "system/machine-lock.h"
#include "system/ramblock.h"
#include "target/i386/cpu.h"
#include "target/i386/cpu-internal.h"
#include "util/util.h"

/* A section of a recorded stream: its body begins at `body`. */
typedef struct Section {
    const uint8_t *body;
    size_t room;
    uint32_t version;
} Section;

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Find the FULL section (name, instance); asserts that it is there. */
static Section find_section(const char *data, size_t len, const char *name, uint32_t instance)
{
    const uint8_t *d = (const uint8_t *)data;
    size_t n = strlen(name);

    for (size_t i = 0; i + 14 + n < len; i++) {
        if (d[i] == 4 && d[i + 5] == n && !memcmp(d + i + 6, name, n) &&
            be32(d + i + 6 + n) == instance && be32(d + i + 1) < 64) {
            size_t at = i + 14 + n;

            return (Section){ d + at, len - at, be32(d + i + 10 + n) };
        }
    }
    g_assert_not_reached();
}

/* Load a recorded section into obj, save it again: the same bytes.  Returns their number. */
static size_t check_roundtrip(const char *file, const char *name, uint32_t instance,
                              const VMStateDescription *vmsd, void *obj)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data", "streams", file, NULL);
    g_autofree char *data = NULL;
    gsize len;
    Error *err = NULL;
    Stream *in, *out;
    const void *saved;
    size_t n;

    g_file_get_contents(path, &data, &len, &err);
    g_assert_no_error(err);
    Section s = find_section(data, len, name, instance);
    in = stream_new_input_memory(s.body, s.room);
    vmstate_load(in, vmsd, obj, s.version, &err);
    g_assert_no_error(err);
    n = stream_offset(in);
    g_assert_cmpuint(s.body[n], ==, 0x7e);
    out = stream_new_output_memory();
    vmstate_save(out, vmsd, obj, &err);
    g_assert_no_error(err);
    saved = stream_memory_data(out, &len);
    g_assert_cmpmem(saved, len, s.body, n);
    stream_free(in);
    stream_free(out);
    return n;
}

static X86CPU *bare_cpu(const char *model)
{
    g_autofree char *type = g_strdup_printf("%s-" TYPE_X86_CPU, model);
    X86CPU *cpu = X86_CPU(object_new(type));

    cpu->is_bsp = true;
    cpu_model_apply(cpu, cpu_model_find(model));
    return cpu;
}

static void test_roundtrip(void)
{
    static const struct { const char *file; uint32_t instance; size_t size; } rows[] = {
        { "microvm-32M.qemu72-kvm.bin", 0, 1842 },  { "microvm-32M.qemu72-tcg.bin", 0, 1851 },
        { "microvm-32M.qemu111-kvm.bin", 0, 1842 }, { "microvm-32M.qemu111-tcg.bin", 0, 1851 },
        { "microvm-smp2-16M.qemu72-kvm.bin", 1, 0 }, { "microvm-smp2-16M.qemu72-tcg.bin", 1, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        X86CPU *cpu = bare_cpu("qemu64");
        size_t n = check_roundtrip(rows[i].file, "cpu", rows[i].instance, &vmstate_x86_cpu, cpu);

        g_assert_true(rows[i].size == 0 || n == rows[i].size);
        g_assert_cmphex(cpu->env.eip, ==, 0xfff0);
        n = check_roundtrip(rows[i].file, "cpu_common", rows[i].instance,
                            &vmstate_x86_cpu_common, cpu);
        g_assert_cmpuint(n, ==, 8);
        object_unref(&cpu->parent.obj);
    }
}

/* Our own reset state has the sizes that the stock program's has. */
static void test_reset_state(void)
{
    X86CPU *cpu = bare_cpu("qemu64");
    Error *err = NULL;
    Stream *out = stream_new_output_memory();

    x86_cpu_reset(cpu);
    vmstate_save(out, &vmstate_x86_cpu, cpu, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(stream_offset(out), ==, 1851);
    g_assert_cmphex(cpu->env.regs[R_EDX], ==, 0x60fb1);
    g_assert_cmphex(cpu->env.hflags, ==, 0x40);
    g_assert_cmphex(cpu->env.hflags2, ==, 0x101);
    stream_free(out);
    object_unref(&cpu->parent.obj);
}

static void test_interrupt_controllers(void)
{
    static const APICOps apic_ops;
    static const IOAPICOps ioapic_ops;
    static const PICOps pic_ops;
    static const PITOps pit_ops;
    PICPair pair = { .ops = &pic_ops };
    APICState apic = { .ops = &apic_ops };
    IOAPICState ioapic = { .ops = &ioapic_ops };
    PICState pic = { .pair = &pair };
    PITState pit = { .ops = &pit_ops };
    const char *full = "microvm-default-16M.qemu72-kvm.bin";

    g_assert_cmpuint(check_roundtrip("microvm-32M.qemu72-kvm.bin", "apic", 0, &vmstate_apic,
                                     &apic), ==, 181);
    g_assert_cmpuint(check_roundtrip("microvm-32M.qemu111-tcg.bin", "apic", 0, &vmstate_apic,
                                     &apic), ==, 181);
    check_roundtrip("microvm-smp2-16M.qemu72-tcg.bin", "apic", 1, &vmstate_apic, &apic);
    g_assert_cmpint(apic.wait_for_sipi, ==, 1);
    g_assert_cmpuint(check_roundtrip("microvm-32M.qemu72-tcg.bin", "ioapic", 0, &vmstate_ioapic,
                                     &ioapic), ==, 206);
    check_roundtrip(full, "i8259", 0, &vmstate_i8259, &pic);
    check_roundtrip(full, "i8259", 1, &vmstate_i8259, &pic);
    check_roundtrip(full, "i8254", 0, &vmstate_i8254, &pit);
}

/* A stream may not bring a timer into a state in which it divides by zero or fires for ever. */
static void test_pit_hostile(void)
{
    static const PITOps pit_ops;
    PITState pit = { .ops = &pit_ops };

    g_assert_true(vmstate_i8254.post_load(&pit, 3, NULL));
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(pit.channels[i].count, ==, 0x10000);
    }
    pit.channels[1].count = 0x10001;
    g_assert_false(vmstate_i8254.post_load(&pit, 3, NULL));
    pit.channels[1].count = 1;
    pit.channels[1].mode = 3;
    pit.channels[1].count_load_time = INT64_MIN;
    g_assert_false(vmstate_i8254.post_load(&pit, 3, NULL));
    pit.channels[1].count_load_time = -1000000;
    g_assert_true(vmstate_i8254.post_load(&pit, 3, NULL));
    g_assert_cmpint(pit_next_transition(&pit.channels[1], 5000), >, 5000 + 400);
}

/* Hidden state travels in hflags, the stack top in the status word. */
static void test_hidden_state(void)
{
    X86CPU *a = bare_cpu("qemu64"), *b = bare_cpu("qemu64");
    Error *err = NULL;
    Stream *out = stream_new_output_memory(), *in;
    size_t len;
    const void *data;

    x86_cpu_reset(a);
    a->env.interrupt_shadow = 1;
    a->env.nmi_masked = 1;
    a->env.fpstt = 5;
    a->env.fpus = 0x4001;
    a->env.xmm[3].q[3] = 77;
    a->env.xmm[20].q[7] = 99;
    a->env.opmask[7] = 3;
    a->env.pkru = 0x55555554;
    a->env.segs[R_CS].flags |= DESC_DPL_MASK;
    a->env.exception_pending = 1;
    a->env.exception_nr = 14;
    a->env.exception_has_payload = 1;
    a->env.exception_payload = 0x1234;
    vmstate_save(out, &vmstate_x86_cpu, a, &err);
    g_assert_no_error(err);
    data = stream_memory_data(out, &len);
    in = stream_new_input_memory(data, len);
    vmstate_load(in, &vmstate_x86_cpu, b, 12, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(b->env.interrupt_shadow, ==, 1);
    g_assert_cmpuint(b->env.nmi_masked, ==, 1);
    g_assert_cmpuint(b->env.fpstt, ==, 5);
    g_assert_cmphex(b->env.fpus, ==, 0x4001);
    g_assert_cmpuint(b->env.xmm[3].q[3], ==, 77);
    g_assert_cmpuint(b->env.xmm[20].q[7], ==, 99);
    g_assert_cmpuint(b->env.opmask[7], ==, 3);
    g_assert_cmphex(b->env.pkru, ==, 0x55555554);
    g_assert_cmphex(b->env.segs[R_CS].flags & DESC_DPL_MASK, ==, 0);
    g_assert_cmphex(b->env.cr[2], ==, 0x1234);
    g_assert_cmpuint(b->env.exception_injected, ==, 1);
    stream_free(in);
    stream_free(out);
    object_unref(&a->parent.obj);
    object_unref(&b->parent.obj);
}

/* Save `a` changed by `change`; loading it must fail with a message that has `text`. */
static void check_refused(void (*change)(CPUX86State *env), const char *text)
{
    X86CPU *a = bare_cpu("qemu64");
    Error *err = NULL;
    Stream *out = stream_new_output_memory(), *in;
    size_t len;
    const void *data;

    x86_cpu_reset(a);
    change(&a->env);
    vmstate_save(out, &vmstate_x86_cpu, a, &err);
    g_assert_no_error(err);
    data = stream_memory_data(out, &len);
    in = stream_new_input_memory(data, len);
    g_assert_false(vmstate_load(in, &vmstate_x86_cpu, a, 12, &err));
    g_assert_nonnull(strstr(err->message, text));
    g_clear_error(&err);
    stream_free(in);
    stream_free(out);
    object_unref(&a->parent.obj);
}

static void bad_mp_state(CPUX86State *env)
{
    env->mp_state = 9;
}

static void bad_exception(CPUX86State *env)
{
    env->exception_nr = 32;
}

static void bad_interrupt(CPUX86State *env)
{
    env->interrupt_injected = 256;
}

static void nested_guest(CPUX86State *env)
{
    env->hflags |= HF_GUEST;
}

static void test_refused(void)
{
    check_refused(bad_mp_state, "mp_state 9");
    check_refused(bad_exception, "exception 32");
    check_refused(bad_interrupt, "interrupt 256");
    check_refused(nested_guest, "nested");
}

static void check_option(const char *options, const char *message)
{
    X86CPU *cpu = bare_cpu("qemu64");
    Error *err = NULL;
    bool ok = x86_cpu_parse_options(cpu, options, &err);

    if (message) {
        g_assert_false(ok);
        g_assert_nonnull(strstr(err->message, message));
        g_clear_error(&err);
    } else {
        g_assert_no_error(err);
    }
    object_unref(&cpu->parent.obj);
}

static void test_options(void)
{
    check_option(NULL, NULL);
    check_option("+avx2,-sse2,lahf-lm=on,migratable=on,check=off,l3-cache=on", NULL);
    check_option("host-cache-info=off,pmu=off,hypervisor=on,svm=off,vmx=off", NULL);
    check_option("hv-relaxed", "Hyper-V");
    check_option("nonsense=on", "'nonsense'");
    check_option("+nonsense", "'nonsense'");
    check_option("avx=perhaps", "on or off");
    check_option("pmu=on", "not supported");
    check_option("host-cache-info=on", "not supported");
    check_option("vendor=abc", "12 characters");
    check_option("phys-bits=7", "32 to 52");
}

static void test_cpuid(void)
{
    X86CPU *cpu = bare_cpu("qemu64");
    Error *err = NULL;
    uint32_t a, b, c, d;

    g_assert_true(x86_cpu_parse_options(cpu, "+avx2,model-id=Test CPU", &err));
    x86_cpu_build_cpuid(cpu);
    x86_cpuid(cpu, 0, 0, &a, &b, &c, &d);
    g_assert_cmpuint(a, ==, 0xd);
    g_assert_cmphex(b, ==, 0x68747541);
    x86_cpuid(cpu, 1, 0, &a, &b, &c, &d);
    g_assert_cmphex(a, ==, 0x60fb1);
    g_assert_cmphex(c & (1u << 31), !=, 0);
    g_assert_cmphex(c & (1u << 27), ==, 0);
    cpu->env.cr[4] |= CR4_OSXSAVE;
    x86_cpuid(cpu, 1, 0, &a, &b, &c, &d);
    g_assert_cmphex(c & (1u << 27), !=, 0);
    x86_cpuid(cpu, 7, 0, &a, &b, &c, &d);
    g_assert_cmphex(b, ==, 1u << 5);
    x86_cpuid(cpu, 0x80000001, 0, &a, &b, &c, &d);
    g_assert_cmphex(d & (1u << 29 | 1u << 20 | 1u << 11), ==, 1u << 29 | 1u << 20 | 1u << 11);
    x86_cpuid(cpu, 0x80000002, 0, &a, &b, &c, &d);
    g_assert_cmphex(a, ==, 0x74736554); /* "Test" */
    x86_cpuid(cpu, 0x12345678, 0, &a, &b, &c, &d);
    g_assert_cmphex(a | b | c | d, ==, 0);
    object_unref(&cpu->parent.obj);
}

static void test_models(void)
{
    int n = 0;

    for (const X86CPUModel *m = x86_cpu_models(); m->name; m++, n++) {
        X86CPU *cpu = bare_cpu(m->name);

        x86_cpu_build_cpuid(cpu);
        g_assert_cmpstr(cpu->model, ==, m->name);
        g_assert_cmpuint(cpu->cpuid->len, >, 0);
        object_unref(&cpu->parent.obj);
    }
    g_assert_cmpint(n, >, 10);
    g_assert_null(cpu_model_find("no-such-model"));
}

/* Paging structures in RAM at fixed places, one for each mode. */
static void test_translate(void)
{
    RAMBlockOptions opts = { .fd = -1 };
    Error *err = NULL;
    RAMBlock *rb;
    X86CPU *cpu = bare_cpu("qemu64");
    uint64_t pa;

    machine_lock();
    rb = ramblock_new("ram", 1 * MiB, &opts, &err);
    g_assert_no_error(err);
    memory_map_ram(0, 1 * MiB, rb, 0, false);
    x86_cpu_reset(cpu);
    g_assert_true(x86_cpu_translate(cpu, 0x12345, &pa));
    g_assert_cmphex(pa, ==, 0x12345);

    /* 32-bit: a 4 MiB page and a 4 KiB page. */
    cpu->env.cr[0] |= CR0_PE | CR0_PG;
    cpu->env.cr[3] = 0x1000;
    cpu->env.cr[4] = CR4_PSE;
    memory_store(0x1000 + 4 * 1, 0x00800000 | 0x83, 4);
    memory_store(0x1000 + 4 * 2, 0x2000 | 3, 4);
    memory_store(0x2000 + 4 * 5, 0x00abc000 | 3, 4);
    g_assert_true(x86_cpu_translate(cpu, 0x00400000 + 0x12345, &pa));
    g_assert_cmphex(pa, ==, 0x00812345);
    g_assert_true(x86_cpu_translate(cpu, 0x00800000 + 0x5678, &pa));
    g_assert_cmphex(pa, ==, 0x00abc678);
    g_assert_false(x86_cpu_translate(cpu, 0x00c00000, &pa));

    /* PAE: a 2 MiB page. */
    cpu->env.cr[4] = CR4_PAE;
    cpu->env.cr[3] = 0x3000;
    memory_store(0x3000, 0x4000 | 1, 8);
    memory_store(0x4000 + 8, 0x140000000ULL | 0x83, 8);
    g_assert_true(x86_cpu_translate(cpu, 0x234567, &pa));
    g_assert_cmphex(pa, ==, 0x140034567ULL);

    /* Long mode: 4 KiB, 2 MiB and 1 GiB pages, not canonical. */
    cpu->env.efer = EFER_LMA | EFER_LME;
    cpu->env.cr[3] = 0x5000;
    memory_store(0x5000 + 8 * 511, 0x6000 | 3, 8);
    memory_store(0x6000 + 8 * 0, 0x7000 | 3, 8);
    memory_store(0x6000 + 8 * 1, 0x80000000ULL | 0x83, 8);
    memory_store(0x7000 + 8 * 0, 0x8000 | 3, 8);
    memory_store(0x7000 + 8 * 1, 0x00600000 | 0x83, 8);
    memory_store(0x8000 + 8 * 3, (1ULL << 63) | 0x9000 | 3, 8);
    g_assert_true(x86_cpu_translate(cpu, 0xffffff8000003123, &pa));
    g_assert_cmphex(pa, ==, 0x9123);
    g_assert_true(x86_cpu_translate(cpu, 0xffffff8000200123, &pa));
    g_assert_cmphex(pa, ==, 0x600123);
    g_assert_true(x86_cpu_translate(cpu, 0xffffff8040001234, &pa));
    g_assert_cmphex(pa, ==, 0x80001234);
    g_assert_false(x86_cpu_translate(cpu, 0x0000ff8000003123, &pa));
    memory_unmap(0);
    ramblock_free(rb);
    machine_unlock();
    object_unref(&cpu->parent.obj);
}

static void test_describe(void)
{
    X86CPU *cpu = bare_cpu("qemu64");
    g_autofree char *text = NULL;

    x86_cpu_reset(cpu);
    text = x86_cpu_describe(cpu);
    g_assert_nonnull(strstr(text, "EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0"));
    g_assert_nonnull(strstr(text, "CS =f000 ffff0000 0000ffff 00009b00\n"));
    g_assert_nonnull(strstr(text, "FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80"));
    object_unref(&cpu->parent.obj);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/vmstate/roundtrip", test_roundtrip);
    g_test_add_func("/cpu/vmstate/reset", test_reset_state);
    g_test_add_func("/cpu/vmstate/controllers", test_interrupt_controllers);
    g_test_add_func("/cpu/vmstate/pit-hostile", test_pit_hostile);
    g_test_add_func("/cpu/vmstate/hidden", test_hidden_state);
    g_test_add_func("/cpu/vmstate/refused", test_refused);
    g_test_add_func("/cpu/options", test_options);
    g_test_add_func("/cpu/cpuid", test_cpuid);
    g_test_add_func("/cpu/models", test_models);
    g_test_add_func("/cpu/translate", test_translate);
    g_test_add_func("/cpu/describe", test_describe);
    return g_test_run();
}
