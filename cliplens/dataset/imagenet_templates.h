// The 80 prompt templates of the zero-shot protocol on ImageNet.
#pragma once

#include <span>
#include <string_view>

namespace cliplens {

// In the published order, with `{}` in place of the class name. "Learning Transferable Visual
// Models From Natural Language Supervision", arXiv 2103.00020, section 3.1.4; the list is that of
// openai/CLIP (MIT licence, see THIRD_PARTY.md), which open_clip repeats as
// OPENAI_IMAGENET_TEMPLATES.
std::span<const std::string_view> ImagenetTemplates();

}  // namespace cliplens
