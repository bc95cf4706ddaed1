// The davit-keeper executable as read-only data; see init_binary_data.cc.
asm(R"(
    .pushsection .rodata
    .balign 4096
    .globl davit_keeper_begin
    .globl davit_keeper_end
davit_keeper_begin:
    .incbin "davit-keeper"
davit_keeper_end:
    .popsection
)");
