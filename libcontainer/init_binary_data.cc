// The davit-init executable as read-only data, davit_init_begin up to davit_init_end. The build
// gives the assembler the folder that holds it; ccache knows .incbin and does not cache this file.
asm(R"(
    .pushsection .rodata
    .balign 4096
    .globl davit_init_begin
    .globl davit_init_end
davit_init_begin:
    .incbin "davit-init"
davit_init_end:
    .popsection
)");
