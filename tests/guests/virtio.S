/*
 * A guest that does disk I/O through a virtqueue for ever, and believes nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A boot sector of machine `pc` with a virtio disk in slot 2, driven through the legacy ports.
 * Round n writes a sector filled with n and reads it back into the next of PAGES pages, which the
 * device is the first to touch.  Then it looks at the page from half a lap ago, which must
 * still hold what the device put there.  Prints 'A' at the start, 'B' every 256 rounds, 'E' and
 * stops when anything is not as it must be.
 */
        .set    PAGES, 512
        .set    DESC, 0x10000           /* 256 entries: rings at +0x1000 and +0x2000 */
        .set    AVAIL, 0x11000
        .set    USED, 0x12000
        .set    HEADER, 0x14000
        .set    STATUS, 0x14020
        .set    FROM, 0xf0000
        .set    INTO, 0x100000
        .set    NEXT, 1
        .set    WRITE, 2

        .section .boot, "awx"
        .code16
        .globl  _start
_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdtl   gdtr
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $pm
        .code32
pm:     movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x7000, %esp
        cld
        movb    $'A', %al
        call    print

        /* BAR 0 of 0:2.0 */
        movw    $0xcf8, %dx
        movl    $0x80001010, %eax
        outl    %eax, %dx
        movw    $0xcfc, %dx
        inl     %dx, %eax
        andl    $~3, %eax
        movl    %eax, %ebp

        leal    18(%ebp), %edx          /* acknowledge, driver; no features; queue 0; driver ok */
        movb    $3, %al
        outb    %al, %dx
        leal    14(%ebp), %edx
        xorl    %eax, %eax
        outw    %ax, %dx
        leal    8(%ebp), %edx
        movl    $DESC >> 12, %eax
        outl    %eax, %dx
        leal    18(%ebp), %edx
        movb    $7, %al
        outb    %al, %dx

        movl    $HEADER, DESC           /* header, data, status */
        movl    $16, DESC + 8
        movl    $NEXT + (1 << 16), DESC + 12
        movl    $512, DESC + 16 + 8
        movl    $STATUS, DESC + 32
        movl    $1, DESC + 32 + 8
        movl    $WRITE, DESC + 32 + 12

        xorl    %ebx, %ebx              /* the round */
round:  movl    %ebx, %esi              /* offset of its page */
        andl    $PAGES - 1, %esi
        shll    $12, %esi
        movl    %ebx, %eax              /* sectors 1 to 32 */
        andl    $31, %eax
        incl    %eax
        movl    %eax, HEADER + 8

        movl    $FROM, %edi             /* write it */
        movl    %edi, DESC + 16
        movl    $128, %ecx
        movl    %ebx, %eax
        rep stosl
        movl    $1, HEADER
        movl    $NEXT + (2 << 16), DESC + 16 + 12
        call    request

        leal    INTO(%esi), %edi
        movl    %edi, DESC + 16
        movl    $0, HEADER              /* read it back */
        movl    $NEXT + WRITE + (2 << 16), DESC + 16 + 12
        call    request
        leal    INTO(%esi), %edi
        movl    $128, %ecx
        movl    %ebx, %eax
        repe scasl
        jne     bad
        xorl    $PAGES / 2 * 4096, %esi /* half a lap ago */
        leal    INTO(%esi), %edi
        movl    %ebx, %eax
        subl    $PAGES / 2, %eax
        jae     1f
        xorl    %eax, %eax
1:      movl    $128, %ecx
        repe scasl
        jne     bad

        incl    %ebx
        testb   %bl, %bl
        jnz     round
        movb    $'B', %al
        call    print
        jmp     round

        /* Offer descriptor 0, kick, wait until it is used. */
request:
        movb    $0xff, STATUS
        movzwl  AVAIL + 2, %eax
        incl    %eax
        movw    %ax, AVAIL + 2          /* every entry of the ring says 0 */
        pushl   %eax
        leal    16(%ebp), %edx
        xorl    %eax, %eax
        outw    %ax, %dx
        popl    %eax
1:      cmpw    %ax, USED + 2
        jne     1b
        cmpb    $0, STATUS
        jne     bad
        ret

bad:    movb    $'E', %al
        call    print
1:      hlt
        jmp     1b

print:  movw    $0x3f8, %dx
        outb    %al, %dx
        ret

        .align  4
gdt:    .quad   0
        .quad   0x00cf9a000000ffff
        .quad   0x00cf92000000ffff
gdtr:   .word   23
        .long   gdt
        .org    510
        .word   0xaa55
