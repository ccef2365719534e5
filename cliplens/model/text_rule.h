// How a model whose tokenizer is read from files wants its texts.
//
//   const TextRule siglip = {.context_length = 64, .cleaning = TextCleaning::kCanonicalize,
//                            .fills_context = true};
//   Print(siglip.context_length);
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cliplens/base/index.h"
#include "cliplens/model/text_clean.h"

namespace cliplens {

// What a model's configuration says of its texts; the tokenizer's files say the rest.
struct TextRule {
  Index context_length = 0;
  TextCleaning cleaning = TextCleaning::kNone;
  // The model attends to padding (SigLIP, CLIPA): each text has all places, the last is pooled.
  bool fills_context = false;
  // open_clip's "strip_sep_token": the separator's id becomes 0.
  bool strips_separator = false;
  // Ids in place of those that the files name: of the padding, and of the token whose first row is
  // pooled.
  std::optional<std::int32_t> pad = {}, end = {};
  // transformers' class that reads the files, in place of the one that tokenizer_config.json names
  // ("Siglip2Tokenizer").
  std::string tokenizer_class = {};

  bool operator==(const TextRule&) const = default;
};

}  // namespace cliplens
