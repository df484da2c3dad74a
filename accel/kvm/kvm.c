/*
 * KVM: opening it, checking what it offers, and making the VM.
 *
 * Main thread, before any vCPU exists.  The other files: kvm-vcpu.c runs guest code,
 * kvm-regs.c, kvm-fpu.c and kvm-msr.c move registers, kvm-memory.c and
 * kvm-dirty-ring.c have memory and its dirty log, kvm-irqchip.c the kernel's interrupt
 * controllers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>

#include "kvm-int.h"
#include "util/log.h"
#include "util/util.h"

/* Four pages below 4 GiB that an Intel kernel needs for itself; no RAM is mapped there. */
#define KVM_IDENTITY_BASE 0xfeffc000ULL

KvmVm kvm = { .fd = -1, .vm_fd = -1 };

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int ret;

    do {
        ret = ioctl(fd, request, arg);
    } while (ret < 0 && errno == EINTR);
    return ret;
}

int kvm_check_cap(int cap)
{
    int ret = ioctl(kvm.vm_fd >= 0 ? kvm.vm_fd : kvm.fd, KVM_CHECK_EXTENSION, cap);

    return ret > 0 ? ret : 0;
}

typedef struct RequiredCap {
    int cap;
    const char *name;
} RequiredCap;

static const RequiredCap required_caps[] = {
    { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
    { KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS" },
    { KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM" },
    { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
    { KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
    { KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
    { KVM_CAP_PIT2, "KVM_CAP_PIT2" },
    { KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2" },
    { KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
    { KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR" },
    { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
    { KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
    { KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
    { KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK" },
};

static bool check_required(Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(required_caps); i++) {
        if (!kvm_check_cap(required_caps[i].cap)) {
            error_setg(errp, "this kernel's KVM lacks %s, which Ferry needs",
                       required_caps[i].name);
            return false;
        }
    }
    return true;
}

static void note_optional(void)
{
    unsigned xsave2 = kvm_check_cap(KVM_CAP_XSAVE2);

    kvm.max_slots = kvm_check_cap(KVM_CAP_NR_MEMSLOTS);
    if (!kvm.max_slots) {
        kvm.max_slots = 32;
    }
    if (kvm_check_cap(KVM_CAP_XSAVE)) {
        kvm.xsave_size = MAX(xsave2, sizeof(struct kvm_xsave));
    }
    kvm.has_sregs2 = kvm_check_cap(KVM_CAP_SREGS2);
    kvm.has_xcrs = kvm_check_cap(KVM_CAP_XCRS);
    kvm.has_debugregs = kvm_check_cap(KVM_CAP_DEBUGREGS);
    kvm.has_tsc_control = kvm_check_cap(KVM_CAP_TSC_CONTROL);
    kvm.has_get_tsc_khz = kvm_check_cap(KVM_CAP_GET_TSC_KHZ);
    kvm.has_mce = kvm_check_cap(KVM_CAP_MCE);
    kvm.has_kvmclock_ctrl = kvm_check_cap(KVM_CAP_KVMCLOCK_CTRL);
    kvm.has_smm = kvm_check_cap(KVM_CAP_X86_SMM);
    kvm.has_msi = kvm_check_cap(KVM_CAP_SIGNAL_MSI);
    kvm.has_nested_state = kvm_check_cap(KVM_CAP_NESTED_STATE);
}

/* Switch a capability of the VM on; false when the kernel has or takes it not. */
static bool enable_cap(int cap, uint64_t arg)
{
    struct kvm_enable_cap e = { .cap = cap, .args = { arg } };

    return kvm_check_cap(cap) && kvm_ioctl(kvm.vm_fd, KVM_ENABLE_CAP, &e) == 0;
}

static void enable_optional(void)
{
    int protect = kvm_check_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);

    kvm.has_exception_payload = enable_cap(KVM_CAP_EXCEPTION_PAYLOAD, 1);
    kvm.has_triple_fault = enable_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
    if (!kvm.ring_entries && (protect & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)) {
        protect &= KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
        kvm.manual_protect = enable_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, protect);
    }
}

static bool open_kvm(Error **errp)
{
    int version;

    kvm.fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm.fd < 0) {
        error_setg_errno(errp, errno, "could not open /dev/kvm");
        return false;
    }
    version = ioctl(kvm.fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        error_setg(errp, "/dev/kvm speaks version %d of its interface, %d is needed", version,
                   KVM_API_VERSION);
        return false;
    }
    return check_required(errp);
}

static bool create_vm(Error **errp)
{
    uint64_t identity = KVM_IDENTITY_BASE;

    do {
        kvm.vm_fd = ioctl(kvm.fd, KVM_CREATE_VM, 0);
    } while (kvm.vm_fd < 0 && errno == EINTR);
    if (kvm.vm_fd < 0) {
        error_setg_errno(errp, errno, "KVM cannot make a virtual machine");
        return false;
    }
    if (kvm_ioctl(kvm.vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
        ioctl(kvm.vm_fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_IDENTITY_BASE + 0x1000) < 0) {
        error_setg_errno(errp, errno, "KVM refuses the addresses of its own guest pages");
        return false;
    }
    kvm.run_size = ioctl(kvm.fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if ((int)kvm.run_size < (int)sizeof(struct kvm_run)) {
        error_setg(errp, "KVM reports a vCPU mapping of %d bytes, which is too small",
                   (int)kvm.run_size);
        return false;
    }
    return true;
}

static bool take_options(GHashTable *options, uint32_t *ret_ring, Error **errp)
{
    GHashTableIter it;
    gpointer key, value;

    *ret_ring = 0;
    g_hash_table_iter_init(&it, options);
    while (g_hash_table_iter_next(&it, &key, &value)) {
        uint64_t n;

        if (!strcmp(key, "dirty-ring-size")) {
            if (!parse_u64(value, &n) || n > (1 << 20) || (n & (n - 1))) {
                error_setg(errp, "dirty-ring-size=%s: must be 0 or a power of two up to 1048576",
                           (char *)value);
                return false;
            }
            *ret_ring = n;
        } else if (!strcmp(key, "kernel-irqchip")) {
            if (strcmp(value, "on")) {
                error_setg(errp, "kernel-irqchip=%s is not supported: with KVM the interrupt "
                           "controllers are the kernel's (kernel-irqchip=on)", (char *)value);
                return false;
            }
        } else {
            error_setg(errp, "accelerator 'kvm' has no option '%s'", (char *)key);
            return false;
        }
    }
    return true;
}

static void close_all(void)
{
    close_fd(&kvm.vm_fd);
    close_fd(&kvm.fd);
    memset(&kvm, 0, sizeof(kvm));
    kvm.fd = kvm.vm_fd = -1;
}

static bool kvm_init(GHashTable *options, Error **errp)
{
    uint32_t ring;

    if (!take_options(options, &ring, errp)) {
        return false;
    }
    if (!open_kvm(errp) || !create_vm(errp)) {
        close_all();
        return false;
    }
    note_optional();
    if (ring && !kvm_ring_enable(ring, errp)) {
        close_all();
        return false;
    }
    enable_optional();
    if (!kvm_msr_init(errp) || !kvm_irqchip_create(errp) || !kvm_memory_init(errp)) {
        close_all();
        return false;
    }
    kvm_kick_init();
    return true;
}

const AccelOps kvm_accel_ops = {
    .name = "kvm",
    .init = kvm_init,
    .vcpu_init = kvm_vcpu_init,
    .vcpu_destroy = kvm_vcpu_destroy,
    .vcpu_exec = kvm_vcpu_exec,
    .vcpu_has_work = kvm_vcpu_has_work,
    .vcpu_kick = kvm_vcpu_kick,
    .get_regs = kvm_get_regs,
    .put_regs = kvm_put_regs,
    .dirty_start = kvm_dirty_start,
    .dirty_stop = kvm_dirty_stop,
    .dirty_sync = kvm_dirty_sync,
    .dirty_clear = kvm_dirty_clear,
    .dirty_ring_entries = kvm_ring_entries,
    .kernel_irqchip = true,
    .kernel_touches_ram = true,
};
