// CLIP's own vocabulary, as built into the program.
//
//   Print(ParseMerges(ClipMergesText(), "CLIP's vocabulary").size());
#pragma once

#include <string_view>

namespace cliplens {

// The merges file of CLIP's 49,408 tokens as text; empty when the build was made without it
// (CMake option CLIPLENS_CLIP_VOCABULARY, tools/fetch_clip_vocabulary.py).
std::string_view ClipMergesText();

}  // namespace cliplens
