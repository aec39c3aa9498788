// The boot sector and loader of a disk image: BIOS, INT 13h extensions, from any drive. Linked at 0x7C00; the first 512 bytes
// are the MBR, the rest (up to 16 KiB) it loads behind itself. The loader reads the ELF's segments and the bundle to the
// addresses that the table below names (boot/image/disk.ts fills it in), builds a PVH start info and enters the kernel's
// 32-bit entry as a VMM would: the kernel knows one way in.
//
//   0x5000  start info | 0x5080 module | 0x5100 memory map      0x7C00  this code, stack below      0x10000  sectors as read
//
// High memory is reached from real mode with segment limits of 4 GiB ("unreal mode"), set anew before each copy because a BIOS
// call may take them away.

#define LOADER_SECTORS 32
#define START_INFO 0x5000
#define MODULE 0x5080
#define MEMORY_MAP 0x5100
#define MEMORY_MAP_MAX 64
#define BUFFER_SEGMENT 0x1000
#define BUFFER 0x10000
#define BUFFER_SECTORS 64
#define START_MAGIC 0x336ec578

        .code16
        .text
        .globl _start
_start: ljmp $0, $1f
1:      cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7C00, %sp
        sti
        cld
        movb %dl, drive
        movb $0x41, %ah
        movw $0x55AA, %bx
        int $0x13
        movw $no_extensions, %si
        jc fail
        cmpw $0xAA55, %bx
        jne fail
        movw $packet, %si
        movb $0x42, %ah
        movb drive, %dl
        int $0x13
        movw $read_error, %si
        jc fail
        cmpl $0x4C444548, table     // "HEDL"
        jne fail
        jmp loader

fail:   lodsb                       // SI: the message; to the screen and, as a BIOS may have none, to COM1
        testb %al, %al
        jz 2f
        pushw %ax
        movb $0x0E, %ah
        movw $7, %bx
        int $0x10
        popw %ax
        movw $0x3F8, %dx
        outb %al, %dx
        jmp fail
2:      hlt
        jmp 2b

no_extensions: .asciz "heddle: this BIOS cannot read disks by block number\r\n"
read_error:    .asciz "heddle: the boot disk cannot be read\r\n"
drive:         .byte 0
        .balign 4
packet: .byte 16, 0                 // disk address packet: blocks, buffer, first block
packet_blocks: .word LOADER_SECTORS
packet_offset: .word 0x7E00
packet_segment: .word 0
packet_first: .quad 1

        .org 440
        .long 0x4C444548            // disk signature
        .word 0
        .byte 0x80, 0, 2, 0, 0xDA, 0xFE, 0xFF, 0xFF  // one bootable partition, "non-file-system data"
        .long 1
partition_sectors:
        .long 0                     // filled in
        .org 510
        .word 0xAA55

// ---- sector 1 on: the table that disk.ts fills in

table:
        .ascii "HEDL"
entry:  .long 0
bundle_block: .long 0               // first block of the bundle slot
bundle_bytes_max: .long 0
bundle_address: .long 0             // where to load it: behind the image
segment_count: .long 0
        .org 512 + 32
segments: .skip 8 * 16              // block, address, bytes in the file, bytes in memory

loader: call memory_map
        call enable_a20
        movl bundle_address, %eax
        call check_memory
        movl segment_count, %ecx
        movw $segments, %bp
next_segment:
        pushl %ecx
        movl 0(%bp), %eax
        movl 4(%bp), %edi
        movl 8(%bp), %ecx
        call load
        movl 12(%bp), %ecx          // zero what the file does not hold
        subl 8(%bp), %ecx
        jbe 1f
        call flat
        xorl %eax, %eax
        rep stosb %al, %es:(%edi)
        sti
1:      addw $16, %bp
        popl %ecx
        decl %ecx
        jnz next_segment

        // The bundle slot: a block with "HDLBUNDL" and the length, then the bundle.
        xorl %ebx, %ebx
        movl bundle_block, %eax
        testl %eax, %eax
        jz start
        movl $1, %ecx
        call read_blocks
        movw $BUFFER_SEGMENT, %ax
        movw %ax, %es
        cmpl $0x424C4448, %es:0
        jne start
        cmpl $0x4C444E55, %es:4
        jne start
        movl %es:8, %ecx
        testl %ecx, %ecx
        jz start
        cmpl $0, %es:12
        jne bad_bundle
        cmpl bundle_bytes_max, %ecx
        ja bad_bundle
        movl bundle_address, %eax
        movl %eax, %edi
        addl %ecx, %eax
        jc bad_bundle
        movl %ecx, MODULE + 8
        movl %edi, MODULE
        movl $disk_label, MODULE + 16
        call check_memory
        movl bundle_block, %eax
        incl %eax
        call load
        movl $1, %ebx
        jmp start
bad_bundle:
        movw $bundle_error, %si
        jmp fail

start:  movl $START_MAGIC, START_INFO
        movl $1, START_INFO + 4
        movl %ebx, START_INFO + 12
        movl $MODULE, START_INFO + 16
        movl $MEMORY_MAP, START_INFO + 40
        movl map_entries, %eax
        movl %eax, START_INFO + 48
        cli
        lgdt gdt_pointer
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        ljmpl $8, $protected

// EAX: first block, EDI: where to, ECX: bytes. EDI then stands behind them.
load:   pushl %ecx
        testl %ecx, %ecx
        jz 3f
1:      pushl %ecx
        cmpl $(BUFFER_SECTORS * 512), %ecx
        jbe 2f
        movl $(BUFFER_SECTORS * 512), %ecx
2:      pushl %eax
        pushl %ecx
        addl $511, %ecx
        shrl $9, %ecx
        call read_blocks
        popl %ecx
        pushl %ecx
        call flat
        movl $BUFFER, %esi
        rep movsb (%esi), %es:(%edi)
        sti
        popl %edx
        popl %eax
        addl $BUFFER_SECTORS, %eax
        popl %ecx
        subl %edx, %ecx
        jnz 1b
3:      popl %ecx
        ret

// EAX: first block, CX: blocks, at most BUFFER_SECTORS, to BUFFER. Tried three times.
read_blocks:
        pushal
        movw $3, %di
1:      movw %cx, packet_blocks
        movw $0, packet_offset
        movw $BUFFER_SEGMENT, packet_segment
        movl %eax, packet_first
        movl $0, packet_first + 4
        pushal
        movw $packet, %si
        movb $0x42, %ah
        movb drive, %dl
        int $0x13
        popal
        jnc 2f
        decw %di
        jnz 1b
        movw $read_error, %si
        jmp fail
2:      popal
        pushw $0
        popw %es
        ret

// DS and ES with base 0 and limit 4 GiB; interrupts off, so that nothing changes them until the caller has copied.
flat:   cli
        pushl %eax
        lgdt gdt_pointer
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        jmp 1f
1:      movw $16, %bx
        movw %bx, %ds
        movw %bx, %es
        andb $0xFE, %al
        movl %eax, %cr0
        jmp 2f
2:      xorw %bx, %bx
        movw %bx, %ds
        movw %bx, %es
        popl %eax
        ret

// INT 15h E820: entries of 20 bytes, 24 apart, as PVH wants them.
memory_map:
        movl $0, map_entries
        xorw %ax, %ax               // start info, module and map begin as zeros
        movw $START_INFO, %di
        movw $((MEMORY_MAP - START_INFO + MEMORY_MAP_MAX * 24) / 2), %cx
        rep stosw
        movw $MEMORY_MAP, %di
        xorl %ebx, %ebx
1:      movl $0xE820, %eax
        movl $0x534D4150, %edx
        movl $20, %ecx
        int $0x15
        jc 2f
        cmpl $0x534D4150, %eax
        jne 2f
        incl map_entries
        addw $24, %di
        testl %ebx, %ebx
        jz 2f
        cmpl $MEMORY_MAP_MAX, map_entries
        jb 1b
2:      cmpl $0, map_entries
        movw $memory_error, %si
        je fail
        ret

// EAX: the end of what is to be loaded from 1 MiB on; all of it must be RAM in one piece.
check_memory:
        pushal
        movw $MEMORY_MAP, %di
        movl map_entries, %ecx
1:      cmpl $1, 16(%di)
        jne 3f
        cmpl $0, 4(%di)
        jne 3f
        movl 0(%di), %edx
        cmpl $0x200000, %edx
        ja 3f
        cmpl $0, 12(%di)
        jne 2f
        addl 8(%di), %edx
        jc 2f
        cmpl %edx, %eax
        ja 3f
2:      popal
        ret
3:      addw $24, %di
        decl %ecx
        jnz 1b
        movw $memory_error, %si
        jmp fail

// Address line 20: by the BIOS, then by port 92h; tested by whether 1 MiB aliases 0.
enable_a20:
        movw $0x2401, %ax
        int $0x15
        call test_a20
        jne 1f
        inb $0x92, %al
        orb $2, %al
        andb $0xFE, %al
        outb %al, $0x92
        call test_a20
        movw $a20_error, %si
        je fail
1:      ret
test_a20:
        call flat
        movl $0x600, %esi
        movl $0x100600, %edi
        movl $0x12345678, (%esi)
        movl $0x87654321, %eax
        movl %eax, (%edi)
        cmpl %eax, (%esi)
        sti
        ret

        .code32
protected:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        xorw %ax, %ax
        movw %ax, %fs
        movw %ax, %gs
        movl $START_INFO, %ebx
        jmp *entry

        .balign 8
gdt:    .quad 0
        .quad 0x00CF9B000000FFFF    // 8: code, 32 bits, flat
        .quad 0x00CF93000000FFFF    // 16: data, flat
gdt_pointer:
        .word . - gdt - 1
        .long gdt
map_entries: .long 0
disk_label: .asciz "heddle.disk"
memory_error: .asciz "heddle: too little memory for the image and its bundle, or no memory map\r\n"
a20_error: .asciz "heddle: address line 20 cannot be enabled\r\n"
bundle_error: .asciz "heddle: the bundle slot of the disk is damaged\r\n"
        .org 512 * (1 + LOADER_SECTORS)
