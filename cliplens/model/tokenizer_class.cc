#include "cliplens/model/tokenizer_class.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr std::int64_t kMostExtraIds = 10'000;

std::string ClassName(const TokenizerSettings& settings, const std::string& wanted) {
  std::string name = wanted;
  const auto found = settings.config.find("tokenizer_class");
  if (name.empty() && found != settings.config.end() && !found->is_null()) {
    name = JsonField<std::string>(settings.config, "tokenizer_class", settings.config_name);
  }
  if (name.ends_with("TokenizerFast") && name != "PreTrainedTokenizerFast") {
    name.resize(name.size() - std::string_view("Fast").size());
  }
  return name;
}

bool HasFile(const std::filesystem::path& directory, const char* file) {
  return Exists(directory / file);
}

}  // namespace

TokenizerClass FindTokenizerClass(const std::filesystem::path& directory,
                                  const TokenizerSettings& settings, const std::string& wanted) {
  const std::string name = ClassName(settings, wanted);
  constexpr std::array<std::pair<const char*, TokenizerClass>, 10> kClasses = {
      {{"T5Tokenizer", TokenizerClass::kT5},
       {"MT5Tokenizer", TokenizerClass::kT5},
       {"XLMRobertaTokenizer", TokenizerClass::kXlmRoberta},
       {"GemmaTokenizer", TokenizerClass::kGemma},
       {"Siglip2Tokenizer", TokenizerClass::kSiglip2},
       {"BertTokenizer", TokenizerClass::kBert},
       {"SiglipTokenizer", TokenizerClass::kSiglip},
       {"PreTrainedTokenizerFast", TokenizerClass::kFile},
       {"PreTrainedTokenizer", TokenizerClass::kFile},
       {"TokenizersBackend", TokenizerClass::kFile}}};
  for (const auto& [known, value] : kClasses) {
    if (name == known) return value;
  }
  if (!name.empty()) {
    throw Error(ErrorCode::kUnsupported,
                "{}: 'tokenizer_class' is \"{}\"; only the tokenizers of T5, XLM-RoBERTa, Gemma, "
                "SigLIP, BERT and PreTrainedTokenizerFast are supported; name the one that it is",
                settings.config_name, Printable(name));
  }
  if (HasFile(directory, "tokenizer.json")) return TokenizerClass::kFile;
  if (HasFile(directory, "vocab.txt")) return TokenizerClass::kBert;
  if (HasFile(directory, "sentencepiece.bpe.model")) return TokenizerClass::kXlmRoberta;
  if (HasFile(directory, "spiece.model")) {
    throw Error(ErrorCode::kNotFound,
                "{}: the file that says how spiece.model is read (\"tokenizer_class\") is missing "
                "beside it; copy it from the same tokenizer",
                settings.config_name);
  }
  throw Error(ErrorCode::kNotFound,
              "{}: no tokenizer (tokenizer.json, spiece.model, sentencepiece.bpe.model or "
              "vocab.txt, with tokenizer_config.json); copy the files of the model's tokenizer "
              "there",
              PathText(directory));
}

void SetDefaultRoles(TokenizerClass kind, TokenizerSettings& settings) {
  const auto set = [&](const char* role, const char* text, bool strips = false) {
    settings.roles.try_emplace(
        role, TokenText{.text = text, .strips_left = strips, .strips_right = strips});
  };
  switch (kind) {
    case TokenizerClass::kFile:
      break;
    case TokenizerClass::kT5:
      set("eos_token", "</s>");
      set("unk_token", "<unk>");
      set("pad_token", "<pad>");
      break;
    case TokenizerClass::kXlmRoberta:
      set("bos_token", "<s>");
      set("eos_token", "</s>");
      set("sep_token", "</s>");
      set("cls_token", "<s>");
      set("unk_token", "<unk>");
      set("pad_token", "<pad>");
      set("mask_token", "<mask>");
      break;
    case TokenizerClass::kGemma:
    case TokenizerClass::kSiglip2:
      set("unk_token", "<unk>");
      set("bos_token", "<bos>");
      set("eos_token", "<eos>");
      set("pad_token", "<pad>");
      set("mask_token", "<mask>");
      break;
    case TokenizerClass::kBert:
      set("unk_token", "[UNK]");
      set("sep_token", "[SEP]");
      set("pad_token", "[PAD]");
      set("cls_token", "[CLS]");
      set("mask_token", "[MASK]");
      break;
    case TokenizerClass::kSiglip:
      set("eos_token", "</s>", /*strips=*/true);
      set("unk_token", "<unk>", /*strips=*/true);
      set("pad_token", "</s>", /*strips=*/true);
      break;
  }
}

std::vector<std::string> ExtraIds(const TokenizerSettings& settings) {
  std::int64_t count = 100;
  if (settings.config.contains("extra_ids")) {
    count = JsonField<std::int64_t>(settings.config, "extra_ids", settings.config_name);
  }
  if (count < 0 || count > kMostExtraIds) {
    throw Error(ErrorCode::kCorruptData, "{}: 'extra_ids' is {}, from 0 to {} were expected",
                settings.config_name, count, kMostExtraIds);
  }
  std::vector<std::string> tokens;
  tokens.reserve(ToSize(count));
  for (std::int64_t i = 0; i < count; ++i) tokens.push_back(fmt::format("<extra_id_{}>", i));
  return tokens;
}

}  // namespace cliplens
