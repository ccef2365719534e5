// transformers' classes of tokenizers: which of them reads a directory, and what it has by itself.
//
//   TokenizerSettings settings = ReadTokenizerSettings("siglip/", /*tokenizer=*/std::nullopt);
//   const TokenizerClass kind = FindTokenizerClass("siglip/", settings, /*wanted=*/"");
//   SetDefaultRoles(kind, settings);
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cliplens/model/tokenizer_settings.h"

namespace cliplens {

// kFile: tokenizer.json alone says what is done.
enum class TokenizerClass { kFile, kT5, kXlmRoberta, kGemma, kSiglip2, kBert, kSiglip };

// The class named `wanted`, or if that is empty the one of tokenizer_config.json, or what the files
// of the directory are. Error(kUnsupported) for a class that is not followed, Error(kNotFound)
// where there are no files.
TokenizerClass FindTokenizerClass(const std::filesystem::path& directory,
                                  const TokenizerSettings& settings, const std::string& wanted);

// Adds the special tokens that a class has where the settings name none.
void SetDefaultRoles(TokenizerClass kind, TokenizerSettings& settings);

// T5's tokens "<extra_id_0>", "<extra_id_1>" ...: as many as 'extra_ids' says, 100 by default.
std::vector<std::string> ExtraIds(const TokenizerSettings& settings);

}  // namespace cliplens
