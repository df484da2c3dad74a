# Boot sector of a guest that sleeps (S3) when it is told to, and goes on when it is woken.
#
# One page of bytes at 0x20000 says how it is, all 32 bits wide:
#   +0 'F','R','R','S'  +4 rounds that it made  +8 how often it woke
# and byte +12 is written by the host: 1 asks it to sleep.
# PM1a control is at 0x604; the way back is the PC's jump through 40:67.
#
# SPDX-License-Identifier: GPL-2.0-or-later

        .section .boot, "awx"
        .code16
        .globl  _start
_start: cli
        call    segments
        movl    $0x53525246, %es:0
        movl    $0, %es:4
        movl    $0, %es:8
        movb    $0, %es:12

round:  incl    %es:4
        movw    $2000, %cx              # a little slower: the host looks on
pause:  loop    pause
        cmpb    $1, %es:12
        jne     round

        movb    $0, %es:12
        movb    $0x0f, %al              # the shutdown byte: jump through 40:67
        outb    %al, $0x70
        movb    $0x0a, %al
        outb    %al, $0x71
        movw    $woken, 0x467
        movw    $0, 0x469
        movw    $0x604, %dx
        movw    $0x2400, %ax            # SLP_EN, sleep type 1
        outw    %ax, %dx
        jmp     round                   # the machine did not sleep: the rounds tell

woken:  cli
        call    segments
        movw    $0x600, %dx             # woken: bit 15 of the status
        inw     %dx, %ax
        testw   $0x8000, %ax
        jz      stuck
        outw    %ax, %dx
        incl    %es:8
        jmp     round
stuck:  jmp     stuck

segments:
        popw    %bx
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movw    $0x2000, %ax
        movw    %ax, %es
        jmp     *%bx

        .org    510
        .word   0xaa55
