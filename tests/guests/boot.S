# Boot sector and way into 64-bit ring 3 of the test guest.
#
# Loads the rest of its image with programmed IO from the first ATA disk (no BIOS
# service is used), maps the first 16 GiB with 2 MiB user pages, and calls guest_main()
# in ring 3 with IOPL 3 and interrupts off: nested KVM runs ring 3 natively.
#
# SPDX-License-Identifier: GPL-2.0-or-later

        .set    ATA, 0x1f0
        .set    PML4, 0x10000
        .set    PDPT, 0x11000
        .set    PD, 0x12000             # 12 pages: 0x12000..0x1dfff
        .set    GIBS, 12
        .set    AP_STACKS, 0x24000      # a page each, from here
        .set    MAX_CPUS, 8

        .section .boot, "awx"
        .code16
        .globl  _start
_start: cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        inb     $0x92, %al              # A20
        orb     $2, %al
        andb    $0xfe, %al
        outb    %al, $0x92

        movw    $0x7e00, %di
        movl    $1, %ebx                # sector on the disk
read:   movw    $ATA + 6, %dx
        movb    $0xe0, %al              # LBA, first drive
        outb    %al, %dx
        movw    $ATA + 2, %dx
        movb    $1, %al
        outb    %al, %dx
        movl    %ebx, %eax
        movw    $ATA + 3, %dx
        outb    %al, %dx
        incw    %dx
        shrl    $8, %eax
        outb    %al, %dx
        incw    %dx
        shrl    $8, %eax
        outb    %al, %dx
        movw    $ATA + 7, %dx
        movb    $0x20, %al              # READ SECTORS
        outb    %al, %dx
wait:   inb     %dx, %al
        testb   $0x80, %al              # BSY
        jnz     wait
        testb   $0x21, %al              # ERR, DF
        jnz     fail
        testb   $0x08, %al              # DRQ
        jz      wait
        movw    $256, %cx
        movw    $ATA, %dx
        rep     insw
        incl    %ebx
        cmpl    $image_sectors, %ebx
        jb      read

        lgdtl   gdtr
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $protected
fail:   movw    $0x3f8, %dx             # the disk cannot be read
        movb    $'D', %al
        outb    %al, %dx
        hlt
        jmp     fail

        .org    510
        .word   0xaa55

        .section .params, "aw"
        .globl  params
params: .fill   256, 1, 0

        .text
        .code32
protected:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $PML4, %edi             # page tables
        xorl    %eax, %eax
        movl    $0xe000 / 4, %ecx
        rep     stosl
        movl    $PDPT | 7, PML4
        movl    $PDPT, %edi
        movl    $PD | 7, %eax
        movl    $GIBS, %ecx
1:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $0x1000, %eax
        loop    1b
        movl    $PD, %edi
        movl    $0x87, %eax             # present, writable, user, 2 MiB
        xorl    %edx, %edx
        movl    $GIBS * 512, %ecx
2:      movl    %eax, (%edi)
        movl    %edx, 4(%edi)
        addl    $8, %edi
        addl    $0x200000, %eax
        adcl    $0, %edx
        loop    2b
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    %cr4, %eax
        orl     $0x20, %eax             # PAE
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx       # EFER.LME
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmpl   $0x18, $long_mode

        .code64
long_mode:
        movw    $0x2b, %ax              # ring-3 data
        movw    %ax, %ds
        movw    %ax, %es
        xorl    %eax, %eax
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $0x7c00, %esp
        pushq   $0x2b                   # SS
        pushq   $0x7000                 # RSP
        pushq   $0x3002                 # RFLAGS: IOPL 3, interrupts off
        pushq   $0x33                   # CS
        pushq   $ring3
        iretq
ring3:  call    guest_main
3:      pause
        jmp     3b

# Where the other CPUs begin: copied to a page of its own by guest_main().
        .code16
        .globl  ap_start, ap_end
ap_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdtl   gdtr
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $ap_protected
ap_end:
        .code32
ap_protected:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    %cr4, %eax
        orl     $0x20, %eax
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmpl   $0x18, $ap_long

        .code64
ap_long:
        movl    $0xfee00020, %eax       # which one am I?
        movl    (%rax), %edi
        shrl    $24, %edi
        cmpl    $MAX_CPUS, %edi
        jae     ap_stop
        movw    $0x2b, %ax
        movw    %ax, %ds
        movw    %ax, %es
        xorl    %eax, %eax
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    %edi, %ebx
        shll    $12, %ebx
        addl    $AP_STACKS, %ebx        # its end: they grow down from the next page
        movl    %ebx, %esp
        pushq   $0x2b
        pushq   %rbx
        pushq   $0x3002
        pushq   $0x33
        pushq   $ap_ring3
        iretq
ap_ring3:
        call    guest_ap
        jmp     ap_ring3
ap_stop:
        hlt
        jmp     ap_stop

        .section .rodata
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9a000000ffff      # 0x08 code, 32 bits
        .quad   0x00cf92000000ffff      # 0x10 data
        .quad   0x00af9a000000ffff      # 0x18 code, 64 bits
        .quad   0
        .quad   0x00cff2000000ffff      # 0x28 data, ring 3
        .quad   0x00affa000000ffff      # 0x30 code, 64 bits, ring 3
gdtr:   .word   gdtr - gdt - 1
        .long   gdt
        .section .note.GNU-stack, "", @progbits
