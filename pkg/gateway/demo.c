/*
 * The demonstration page: three files of pkg/gateway/demo/, put into the program by the assembler (.incbin), so that a
 * node needs no files beside its binary. GATEWAY_DEMO_FOLDER comes from CMake, which also knows that this file depends
 * on them.
 */
#include "gateway/demo_internal.h"

#define INCLUDE_FILE(symbol, file)                                                                                     \
    __asm__(".pushsection .rodata\n"                                                                                   \
            ".global gateway_demo_" #symbol "_begin, gateway_demo_" #symbol "_end\n"                                   \
            ".hidden gateway_demo_" #symbol "_begin, gateway_demo_" #symbol "_end\n"                                   \
            "gateway_demo_" #symbol "_begin:\n"                                                                        \
            ".incbin \"" GATEWAY_DEMO_FOLDER "/" file "\"\n"                                                           \
            "gateway_demo_" #symbol "_end:\n"                                                                          \
            ".byte 0\n"                                                                                                \
            ".popsection\n");                                                                                          \
    extern const char gateway_demo_##symbol##_begin[] __attribute__((visibility("hidden")));                           \
    extern const char gateway_demo_##symbol##_end[] __attribute__((visibility("hidden")))

INCLUDE_FILE(page, "index.html");
INCLUDE_FILE(script, "demo.js");
INCLUDE_FILE(style, "demo.css");

static const struct gateway_asset assets[] = {
    {"/", "text/html; charset=utf-8", gateway_demo_page_begin, gateway_demo_page_end},
    {"/demo.js", "text/javascript; charset=utf-8", gateway_demo_script_begin, gateway_demo_script_end},
    {"/demo.css", "text/css; charset=utf-8", gateway_demo_style_begin, gateway_demo_style_end},
};

const struct gateway_asset *gateway_demo_find(struct slice path)
{
    for (size_t i = 0; i < BASE_ARRAY_SIZE(assets); i++)
        if (slice_equal_text(path, assets[i].path))
            return &assets[i];
    return NULL;
}
