# cliplens_embed_font(TARGET): builds DejaVu Sans into TARGET, as cliplens/report/font.h declares it.
# The file is that of Debian's fonts-dejavu-core; elsewhere -DCLIPLENS_FONT_FILE=... names it.
find_file(CLIPLENS_FONT_FILE DejaVuSans.ttf
          PATHS /usr/share/fonts/truetype/dejavu /usr/share/fonts/TTF /usr/share/fonts/dejavu
          DOC "DejaVuSans.ttf, which pictures are lettered in")

function(cliplens_embed_font target)
  if(NOT CLIPLENS_FONT_FILE)
    message(FATAL_ERROR "DejaVuSans.ttf was not found: install fonts-dejavu-core (tools/setup.sh), "
            "or name it with -DCLIPLENS_FONT_FILE=.../DejaVuSans.ttf")
  endif()
  set(source ${PROJECT_BINARY_DIR}/generated/font.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"// Made by cmake/EmbedFont.cmake.
#include \"cliplens/report/font.h\"

#include <cstddef>

// The file's bytes as they are, which is quicker to compile than an array of them.
asm(\".pushsection .rodata\\n\"
    \".balign 16\\n\"
    \"cliplens_font_begin:\\n\"
    \".incbin \\\"@CLIPLENS_FONT_FILE@\\\"\\n\"
    \"cliplens_font_end:\\n\"
    \".popsection\\n\"
    \".globl cliplens_font_begin\\n\"
    \".globl cliplens_font_end\\n\");

extern \"C\" const char cliplens_font_begin[];
extern \"C\" const char cliplens_font_end[];

namespace cliplens {

std::string_view FontFile() {
  return {cliplens_font_begin, static_cast<std::size_t>(cliplens_font_end - cliplens_font_begin)};
}

}  // namespace cliplens
")
  set_property(SOURCE ${source} APPEND PROPERTY OBJECT_DEPENDS ${CLIPLENS_FONT_FILE})
  target_sources(${target} PRIVATE ${source})
endfunction()
