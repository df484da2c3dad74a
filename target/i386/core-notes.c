/*
 * Registers of a CPU as the notes of an ELF core file.
 *
 * Machine lock held, CPUs stopped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "target/i386/core-notes.h"

#include <elf.h>
#include <string.h>

#include "util/util.h"

/* struct elf_prstatus of x86-64 Linux: 336 bytes, of which process number and registers are used. */
typedef struct PrStatus {
    uint8_t signal_info[32];
    uint32_t pid;
    uint8_t process[76];
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
    uint64_t rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
    uint64_t fp_valid;
} PrStatus;
G_STATIC_ASSERT(sizeof(PrStatus) == 336);

typedef struct NoteSegment {
    uint32_t selector, limit, flags, pad;
    uint64_t base;
} NoteSegment;

typedef struct SystemNote {
    uint32_t version, size;
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
    uint64_t r8_to_r15[8];
    uint64_t rip, rflags;
    NoteSegment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
    uint64_t cr[5];
    uint64_t kernel_gs_base;
} SystemNote;
G_STATIC_ASSERT(sizeof(SystemNote) == 440);

static void append(GByteArray *notes, const char *name, uint32_t type, const void *data, size_t size)
{
    static const uint8_t zeros[4];
    size_t name_size = strlen(name) + 1;
    const Elf64_Nhdr head = { .n_namesz = name_size, .n_descsz = size, .n_type = type };

    g_byte_array_append(notes, (const uint8_t *)&head, sizeof(head));
    g_byte_array_append(notes, (const uint8_t *)name, name_size);
    g_byte_array_append(notes, zeros, -name_size & 3);
    g_byte_array_append(notes, data, size);
    g_byte_array_append(notes, zeros, -size & 3);
}

void x86_core_note_prstatus(GByteArray *notes, X86CPU *cpu)
{
    const CPUX86State *env = &cpu->env;
    const uint64_t *r = env->regs;
    const PrStatus s = {
        .pid = cpu->parent.index + 1,
        .r15 = r[R_R15], .r14 = r[R_R14], .r13 = r[R_R13], .r12 = r[R_R12], .r11 = r[R_R11],
        .r10 = r[R_R10], .r9 = r[R_R9], .r8 = r[R_R8], .rbp = r[R_EBP], .rbx = r[R_EBX],
        .rax = r[R_EAX], .rcx = r[R_ECX], .rdx = r[R_EDX], .rsi = r[R_ESI], .rdi = r[R_EDI],
        .orig_rax = r[R_EAX], .rsp = r[R_ESP], .rip = env->eip, .rflags = env->eflags,
        .cs = env->segs[R_CS].selector, .ss = env->segs[R_SS].selector,
        .ds = env->segs[R_DS].selector, .es = env->segs[R_ES].selector,
        .fs = env->segs[R_FS].selector, .gs = env->segs[R_GS].selector,
        .fs_base = env->segs[R_FS].base, .gs_base = env->segs[R_GS].base,
    };

    append(notes, "CORE", NT_PRSTATUS, &s, sizeof(s));
}

static NoteSegment segment(const SegmentCache *s)
{
    return (NoteSegment){ s->selector, s->limit, s->flags, 0, s->base };
}

void x86_core_note_system(GByteArray *notes, X86CPU *cpu)
{
    const CPUX86State *env = &cpu->env;
    const uint64_t *r = env->regs;
    SystemNote s = {
        .version = 1, .size = sizeof(s),
        .rax = r[R_EAX], .rbx = r[R_EBX], .rcx = r[R_ECX], .rdx = r[R_EDX], .rsi = r[R_ESI],
        .rdi = r[R_EDI], .rsp = r[R_ESP], .rbp = r[R_EBP], .rip = env->eip, .rflags = env->eflags,
        .cs = segment(&env->segs[R_CS]), .ds = segment(&env->segs[R_DS]),
        .es = segment(&env->segs[R_ES]), .fs = segment(&env->segs[R_FS]),
        .gs = segment(&env->segs[R_GS]), .ss = segment(&env->segs[R_SS]),
        .ldt = segment(&env->ldt), .tr = segment(&env->tr), .gdt = segment(&env->gdt),
        .idt = segment(&env->idt), .kernel_gs_base = env->kernelgsbase,
    };

    memcpy(s.r8_to_r15, &r[R_R8], sizeof(s.r8_to_r15));
    memcpy(s.cr, env->cr, sizeof(s.cr));
    append(notes, "QEMU", 0, &s, sizeof(s));
}
