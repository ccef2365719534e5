#include "cliplens/model/file_tokenizer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/added_token_finder.h"
#include "cliplens/model/character_pairs.h"
#include "cliplens/model/sentencepiece.h"
#include "cliplens/model/text/unicode.h"
#include "cliplens/model/text_steps.h"
#include "cliplens/model/tokenizer_class.h"
#include "cliplens/model/tokenizer_json.h"
#include "cliplens/model/tokenizer_settings.h"
#include "cliplens/model/unigram.h"
#include "cliplens/model/word_pieces.h"

namespace cliplens {
namespace {

constexpr Index kMostPlaces = Index{1} << 20;
constexpr std::size_t kMaxEncodedBytes = std::size_t{4} << 20;

// Steps as tokenizer.json writes them.
Json Step(const char* type) { return {{"type", type}}; }
Json Metaspace(bool prepend) {
  return {{"type", "Metaspace"},
          {"replacement", kPieceBlank},
          {"prepend_scheme", prepend ? "always" : "never"},
          {"split", true}};
}

// The pieces of a sentencepiece model as tokenizers evaluates them.
UnigramVocabulary PiecesOf(const SentencePieceModel& model) {
  if (!model.is_unigram) {
    throw Error(ErrorCode::kUnsupported,
                "{}: the model is no unigram model; save the tokenizer by transformers, which "
                "writes a tokenizer.json that is read",
                model.name);
  }
  UnigramVocabulary vocabulary;
  vocabulary.pieces = model.pieces;
  for (UnigramPiece& piece : vocabulary.pieces) piece.kind = PieceKind::kNormal;
  return vocabulary;
}

// Throws where there is no tokenizer.json and no other file from which a class is read.
void NeedFile(const std::filesystem::path& directory, const char* file, const char* what) {
  if (Exists(directory / file)) return;
  throw Error(
      ErrorCode::kNotFound,
      "{}: no tokenizer.json and no {}, one of which the tokenizer of {} is read from; copy "
      "the files of the model's tokenizer there",
      PathText(directory), file, what);
}

// The byte that a token "<0x41>" stands for.
std::optional<char> ByteOfToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned byte = 0;
  const auto [stop, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (error != std::errc() || stop != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace

struct FileTokenizer::Impl {
  using Model = std::variant<std::monostate, Unigram, CharacterPairs, WordPieces, SentencePiece>;

  // One way in each of these sets the model, the steps and the tokens in front and behind.
  void LoadUnigram(const std::optional<Json>& file);
  void LoadGemma(const Json& file);
  void LoadBert(const std::optional<Json>& file);
  void LoadSiglip();
  void LoadFileAlone(const Json& file);

  // The model of tokenizer.json, which the class wants to be of this kind.
  const Json& ModelOfKind(const Json& file, const std::string& file_name, ModelKind wanted,
                          const char* type) const;
  void SetUnigram(UnigramVocabulary vocabulary, const std::string& model_name);
  void SetCharacterPairs(const Vocabulary& vocabulary, const CharacterPairRule& pair_rule);
  void SetWordPieces(WordPieceVocabulary vocabulary);
  void SetSpelling(const std::unordered_map<std::string, std::int32_t>& ids);
  void AddTokens(const std::unordered_map<std::string, std::int32_t>& ids);
  void SetRule();

  // The text of a token that the settings name, which must be there.
  const std::string& RoleText(const char* role) const;
  std::optional<std::int32_t> RoleId(const char* role) const;
  std::int32_t RequiredRole(const char* role) const;
  std::string_view Spelling(std::int32_t id) const;

  void EncodeText(std::string_view text, std::size_t most, std::vector<std::int32_t>& ids) const;
  void EncodeSiglip(std::string_view text, std::size_t most, std::vector<std::int32_t>& ids) const;
  void EncodeWord(std::string_view word, std::vector<std::int32_t>& ids) const;

  std::filesystem::path directory;
  std::string name;  // of the vocabulary's file
  TextRule rule;
  TokenizerSettings settings;
  TokenizerClass kind = TokenizerClass::kFile;
  bool has_file = false;  // tokenizer.json

  Model model;
  TextSteps steps;
  TokenTemplate frame;
  AddedTokenFinder as_written, normalized;  // added tokens
  std::unordered_map<std::string, std::int32_t> added_ids;
  std::unordered_map<std::int32_t, std::string> added;
  std::vector<std::string> spelling;  // by id, except of a unigram model
  std::string continuing;             // WordPiece's prefix
  Index vocabulary_size = 0;
  std::int32_t pad = 0;
  std::int32_t end = -1;        // pooled
  std::int32_t separator = -1;  // becomes 0
  // Of SiglipTokenizer, which puts the unknown token in front of each text for sentencepiece and
  // takes what that gave off again.
  std::string unknown_text;
  std::size_t unknown_length = 0;
  std::int32_t blank = -1;
};

void FileTokenizer::Impl::AddTokens(const std::unordered_map<std::string, std::int32_t>& ids) {
  for (const auto& [token, id] : ids) vocabulary_size = std::max(vocabulary_size, Index{id} + 1);
  TokenAdder adder(ids);
  adder.AddAll(settings);
  std::vector<AddedToken> raw;
  std::vector<AddedToken> changed;
  for (AddedToken token : adder.added()) {
    added.insert_or_assign(token.id, token.text);
    added_ids.emplace(token.text, token.id);
    vocabulary_size = std::max(vocabulary_size, Index{token.id} + 1);
    if (token.normalized) steps.Normalize(token.text);
    if (!token.text.empty()) (token.normalized ? changed : raw).push_back(std::move(token));
  }
  as_written = AddedTokenFinder(std::move(raw));
  normalized = AddedTokenFinder(std::move(changed));
}

std::optional<std::int32_t> FileTokenizer::Impl::RoleId(const char* role) const {
  const auto found = settings.roles.find(role);
  if (found == settings.roles.end() || !found->second) return std::nullopt;
  const auto id = added_ids.find(found->second->text);
  if (id == added_ids.end()) return std::nullopt;
  return id->second;
}

const std::string& FileTokenizer::Impl::RoleText(const char* role) const {
  const auto found = settings.roles.find(role);
  if (found == settings.roles.end() || !found->second || found->second->text.empty()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: no token is named as '{}', which the model's texts need; name it there",
                settings.config_name, role);
  }
  return found->second->text;
}

std::int32_t FileTokenizer::Impl::RequiredRole(const char* role) const {
  return added_ids.at(RoleText(role));
}

const Json& FileTokenizer::Impl::ModelOfKind(const Json& file, const std::string& file_name,
                                             ModelKind wanted, const char* type) const {
  const Json& json = TokenizerModel(file, file_name);
  if (KindOf(json, file_name) == wanted) return json;
  throw Error(ErrorCode::kCorruptData,
              "{}: model.type is not {}, as the tokenizer_class of {} has it; take both from the "
              "same tokenizer",
              file_name, type, settings.config_name);
}

void FileTokenizer::Impl::SetUnigram(UnigramVocabulary vocabulary, const std::string& model_name) {
  std::unordered_map<std::string, std::int32_t> ids;
  ids.reserve(vocabulary.pieces.size());
  for (std::size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    ids.insert_or_assign(vocabulary.pieces[id].text, static_cast<std::int32_t>(id));
  }
  model.emplace<Unigram>(std::move(vocabulary), model_name);
  name = model_name;
  AddTokens(ids);
}

void FileTokenizer::Impl::SetSpelling(const std::unordered_map<std::string, std::int32_t>& ids) {
  std::int32_t last = -1;
  for (const auto& [token, id] : ids) last = std::max(last, id);
  spelling.resize(ToSize(Index{last} + 1));
  for (const auto& [token, id] : ids) At(spelling, id) = token;
  AddTokens(ids);
}

void FileTokenizer::Impl::SetCharacterPairs(const Vocabulary& vocabulary,
                                            const CharacterPairRule& pair_rule) {
  model.emplace<CharacterPairs>(vocabulary, pair_rule);
  name = vocabulary.name;
  SetSpelling(vocabulary.ids);
}

void FileTokenizer::Impl::SetWordPieces(WordPieceVocabulary vocabulary) {
  continuing = vocabulary.prefix;
  SetSpelling(vocabulary.ids);
  model.emplace<WordPieces>(std::move(vocabulary));
}

void FileTokenizer::Impl::LoadUnigram(const std::optional<Json>& file) {
  const bool t5 = kind == TokenizerClass::kT5;
  UnigramVocabulary vocabulary;
  std::string model_name = PathText(directory / "tokenizer.json");
  const std::vector<std::string> extra_ids = t5 ? ExtraIds(settings) : std::vector<std::string>();
  if (file) {
    const Json& json = ModelOfKind(*file, model_name, ModelKind::kUnigram, "Unigram");
    vocabulary = ReadUnigramModel(json, model_name);
    steps.AddNormalizer(FindPrecompiled(*file), model_name);
  } else {
    const char* model_file = t5 ? "spiece.model" : "sentencepiece.bpe.model";
    NeedFile(directory, model_file, t5 ? "T5" : "XLM-RoBERTa");
    const SentencePieceModel pieces = ReadSentencePieceModel(directory / model_file);
    model_name = pieces.name;
    vocabulary = PiecesOf(pieces);
    for (const UnigramPiece& piece : pieces.pieces) {
      if (piece.kind == PieceKind::kControl || piece.kind == PieceKind::kUserDefined) {
        settings.extra.push_back({.text = piece.text});
      }
    }
    if (!pieces.character_map.empty()) steps.AddCharacterMap(pieces.character_map, model_name);
    if (t5) {
      for (auto text = extra_ids.rbegin(); text != extra_ids.rend(); ++text) {
        vocabulary.pieces.push_back({.text = *text});
      }
    } else {
      // fairseq's four tokens in place of sentencepiece's three.
      const auto text_of = [&](const char* role) { return UnigramPiece{.text = RoleText(role)}; };
      vocabulary.pieces.erase(
          vocabulary.pieces.begin(),
          vocabulary.pieces.begin() + std::min<std::ptrdiff_t>(3, std::ssize(vocabulary.pieces)));
      vocabulary.pieces.insert(
          vocabulary.pieces.begin(),
          {text_of("bos_token"), text_of("pad_token"), text_of("eos_token"), text_of("unk_token")});
      vocabulary.pieces.push_back(text_of("mask_token"));
    }
  }
  for (const std::string& token : extra_ids) settings.extra.push_back({.text = token});
  vocabulary.unknown = t5 ? 2 : 3;
  vocabulary.byte_fallback = false;
  steps.AddSplit(Step("WhitespaceSplit"), model_name);
  steps.AddSplit(Metaspace(t5 || settings.Flag("add_prefix_space", true)), model_name);
  SetUnigram(std::move(vocabulary), model_name);
  if (!t5) frame.front.push_back(RequiredRole("bos_token"));
  frame.behind.push_back(RequiredRole("eos_token"));
}

void FileTokenizer::Impl::LoadGemma(const Json& file) {
  const std::string file_name = PathText(directory / "tokenizer.json");
  const Json& json = ModelOfKind(file, file_name, ModelKind::kBytePairs, "BPE");
  // The class fills texts at their beginning where no file says otherwise.
  const auto padding = file.find("padding");
  const bool file_says = padding != file.end() && padding->is_object();
  if (!settings.config.contains("padding_side") && !file_says) {
    throw Error(ErrorCode::kUnsupported,
                "{}: no 'padding_side', so texts are filled at their beginning, which is not "
                "supported; if the model was trained otherwise, write \"right\" there",
                settings.config_name);
  }
  Vocabulary vocabulary = ReadBytePairModel(json, file_name);
  vocabulary.unknown.reset();
  const auto& unknown = settings.roles.at("unk_token");
  if (unknown) {
    const auto found = vocabulary.ids.find(unknown->text);
    if (found != vocabulary.ids.end()) vocabulary.unknown = found->second;
  }
  if (kind == TokenizerClass::kSiglip2) steps.AddNormalizer(Step("Lowercase"), file_name);
  steps.AddNormalizer(
      {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kPieceBlank}}, file_name);
  SetCharacterPairs(vocabulary, {.byte_fallback = true, .fuse_unknown = true});
  if (const auto processor = file.find("post_processor"); processor != file.end()) {
    frame = ReadTemplate(*processor, file_name);
  }
}

void FileTokenizer::Impl::LoadBert(const std::optional<Json>& file) {
  WordPieceVocabulary vocabulary;
  if (file) {
    name = PathText(directory / "tokenizer.json");
    const Json& json = ModelOfKind(*file, name, ModelKind::kWordPieces, "WordPiece");
    vocabulary.ids = ReadWordPieceModel(json, name).ids;
  } else {
    NeedFile(directory, "vocab.txt", "BERT");
    name = PathText(directory / "vocab.txt");
    vocabulary = ReadVocabText(directory / "vocab.txt");
  }
  const std::string& unknown = RoleText("unk_token");
  const auto found = vocabulary.ids.find(unknown);
  if (found == vocabulary.ids.end()) {
    throw Error(
        ErrorCode::kCorruptData,
        "{}: the unknown token \"{}\" is none of the vocabulary's; fetch the file again, or "
        "name another as 'unk_token' in {}",
        name, Printable(unknown), settings.config_name);
  }
  vocabulary.unknown = found->second;
  const bool lower = settings.Flag("do_lower_case", true);
  steps.AddNormalizer({{"type", "BertNormalizer"},
                       {"clean_text", true},
                       {"handle_chinese_chars", settings.Flag("tokenize_chinese_chars", true)},
                       {"strip_accents", settings.Flag("strip_accents", lower)},
                       {"lowercase", lower}},
                      name);
  steps.AddSplit(Step("BertPreTokenizer"), name);
  SetWordPieces(std::move(vocabulary));
  frame.front.push_back(RequiredRole("cls_token"));
  frame.behind.push_back(RequiredRole("sep_token"));
}

void FileTokenizer::Impl::LoadFileAlone(const Json& file) {
  const std::string file_name = PathText(directory / "tokenizer.json");
  const auto member = [&](const char* key) {
    const auto found = file.find(key);
    return found == file.end() ? Json() : *found;
  };
  steps.AddNormalizer(member("normalizer"), file_name);
  steps.AddSplit(member("pre_tokenizer"), file_name);
  frame = ReadTemplate(member("post_processor"), file_name);
  const std::vector<TokenText> own = ReadAddedTokens(file, file_name);
  const Json& json = TokenizerModel(file, file_name);
  // Tokens of the file come first, and the settings' change how they are looked for.
  std::map<std::int64_t, TokenText> others;
  std::swap(others, settings.added);
  std::int64_t place = 0;
  for (const TokenText& token : own) settings.added.emplace(place++, token);
  for (const auto& [id, token] : others) settings.added.emplace(place++, token);
  switch (KindOf(json, file_name)) {
    case ModelKind::kUnigram:
      SetUnigram(ReadUnigramModel(json, file_name), file_name);
      break;
    case ModelKind::kBytePairs:
      SetCharacterPairs(ReadBytePairModel(json, file_name), ReadCharacterPairRule(json, file_name));
      break;
    case ModelKind::kWordPieces:
      name = file_name;
      SetWordPieces(ReadWordPieceModel(json, file_name));
      break;
  }
}

void FileTokenizer::Impl::LoadSiglip() {
  if (!Exists(directory / "spiece.model")) {
    throw Error(ErrorCode::kNotFound,
                "{}: spiece.model is missing, from which the tokenizer of SigLIP is read; copy it "
                "from the model's tokenizer",
                PathText(directory));
  }
  const SentencePieceModel pieces = ReadSentencePieceModel(directory / "spiece.model");
  name = pieces.name;
  std::unordered_map<std::string, std::int32_t> ids;
  ids.reserve(pieces.pieces.size());
  for (std::size_t id = 0; id < pieces.pieces.size(); ++id) {
    ids.emplace(pieces.pieces[id].text, static_cast<std::int32_t>(id));
  }
  const SentencePiece& encoder = model.emplace<SentencePiece>(pieces);
  AddTokens(ids);
  if (const auto found = ids.find(std::string(kPieceBlank)); found != ids.end()) {
    blank = found->second;
  }
  unknown_text = Spelling(RequiredRole("unk_token"));
  std::vector<std::int32_t> unknown;
  encoder.Encode(unknown_text, unknown);
  unknown_length = unknown.size();
  frame.behind.push_back(RequiredRole("eos_token"));
}

void FileTokenizer::Impl::SetRule() {
  // Without tokenizer.json the settings may say what stands around a text.
  const bool says =
      settings.config.contains("add_bos_token") || settings.config.contains("add_eos_token");
  if (says && !has_file && kind != TokenizerClass::kSiglip) {
    frame = {};
    const std::optional<std::int32_t> bos = RoleId("bos_token");
    const std::optional<std::int32_t> eos = RoleId("eos_token");
    if (bos && settings.Flag("add_bos_token", false)) frame.front.push_back(*bos);
    if (eos && settings.Flag("add_eos_token", false)) frame.behind.push_back(*eos);
  }
  pad = rule.pad ? *rule.pad : RequiredRole("pad_token");
  if (rule.strips_separator) separator = RequiredRole("sep_token");
  if (!rule.fills_context) end = rule.end ? *rule.end : RequiredRole("eos_token");
  const auto specials = static_cast<Index>(frame.front.size() + frame.behind.size());
  if (rule.context_length <= specials || rule.context_length > kMostPlaces) {
    throw Error(ErrorCode::kInvalidArgument,
                "a context of {} tokens; it must be from {} to {}, as the model's configuration "
                "says",
                rule.context_length, specials + 1, kMostPlaces);
  }
  if (!rule.fills_context &&
      std::find(frame.behind.begin(), frame.behind.end(), end) == frame.behind.end()) {
    throw Error(ErrorCode::kUnsupported,
                "{}: no text ends in the token {}, whose row the model pools; put the id of the "
                "tokenizer's end token into the model's configuration",
                name, end);
  }
  for (const std::int32_t id : frame.front)
    vocabulary_size = std::max(vocabulary_size, Index{id} + 1);
  for (const std::int32_t id : frame.behind) {
    vocabulary_size = std::max(vocabulary_size, Index{id} + 1);
  }
  vocabulary_size = std::max(vocabulary_size, Index{pad} + 1);
}

std::string_view FileTokenizer::Impl::Spelling(std::int32_t id) const {
  const auto found = added.find(id);
  if (found != added.end()) return found->second;
  const std::vector<UnigramPiece>* pieces = nullptr;
  if (const auto* unigram = std::get_if<Unigram>(&model)) {
    pieces = &unigram->vocabulary().pieces;
  } else if (const auto* sentencepiece = std::get_if<SentencePiece>(&model)) {
    pieces = &sentencepiece->unigram().vocabulary().pieces;
  }
  if (id < 0) return "";
  if (pieces != nullptr)
    return ToSize(id) < pieces->size() ? std::string_view(At(*pieces, id).text) : "";
  return ToSize(id) < spelling.size() ? std::string_view(At(spelling, id)) : "";
}

void FileTokenizer::Impl::EncodeWord(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (const auto* unigram = std::get_if<Unigram>(&model)) {
    unigram->Encode(word, ids);
  } else if (const auto* pairs = std::get_if<CharacterPairs>(&model)) {
    pairs->Encode(word, ids);
  } else if (const auto* pieces = std::get_if<WordPieces>(&model)) {
    pieces->Encode(word, ids);
  }
}

void FileTokenizer::Impl::EncodeText(std::string_view text, std::size_t most,
                                     std::vector<std::int32_t>& ids) const {
  const auto token = [&](std::int32_t id) {
    ids.push_back(id);
    return ids.size() <= most;
  };
  const char* start = text.data();
  std::string changed;
  as_written.Split(
      text,
      [&](std::string_view part) {
        const bool first = part.data() == start;
        changed.assign(part);
        steps.Normalize(changed);
        const char* changed_start = changed.data();
        return normalized.Split(
            changed,
            [&](std::string_view words) {
              return steps.Split(words, first && words.data() == changed_start,
                                 [&](std::string_view word) {
                                   EncodeWord(word, ids);
                                   return ids.size() <= most;
                                 });
            },
            token);
      },
      token);
}

void FileTokenizer::Impl::EncodeSiglip(std::string_view text, std::size_t most,
                                       std::vector<std::int32_t>& ids) const {
  const SentencePiece& encoder = std::get<SentencePiece>(model);
  std::string marked(kPieceBlank);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t found = std::min(text.find(kPieceBlank, at), text.size());
    marked += text.substr(at, found - at);
    at = found;
    if (found == text.size()) break;
    marked += ' ';
    at += kPieceBlank.size();
  }
  bool special_second = false;
  std::vector<std::int32_t> pieces;
  as_written.Split(
      marked,
      [&](std::string_view part) {
        std::u32string characters = DecodeUtf8(part);
        if (settings.Flag("do_lower_case", true)) characters = Lower(characters);
        RemoveAsciiPunctuation(characters);
        pieces.clear();
        encoder.Encode(unknown_text + EncodeUtf8(JoinWords(characters)), pieces);
        const std::size_t skipped = pieces.size() >= unknown_length ? unknown_length : 0;
        ids.insert(ids.end(), pieces.begin() + static_cast<std::ptrdiff_t>(skipped), pieces.end());
        return ids.size() <= most + 1;
      },
      [&](std::int32_t id) {
        ids.push_back(id);
        special_second = special_second || ids.size() == 2;
        return ids.size() <= most + 1;
      });
  if (special_second && ids[0] == blank) ids.erase(ids.begin());
}

FileTokenizer::FileTokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileTokenizer::~FileTokenizer() = default;
FileTokenizer::FileTokenizer(FileTokenizer&&) noexcept = default;
FileTokenizer& FileTokenizer::operator=(FileTokenizer&&) noexcept = default;

FileTokenizer FileTokenizer::Load(const std::filesystem::path& directory, const TextRule& rule) {
  auto impl = std::make_unique<Impl>();
  impl->directory = directory;
  impl->rule = rule;
  const std::optional<Json> file =
      ReadObjectIfThere(directory, "tokenizer.json", kMaxTokenizerJsonBytes);
  impl->settings = ReadTokenizerSettings(directory, file);
  impl->kind = FindTokenizerClass(directory, impl->settings, rule.tokenizer_class);
  impl->has_file = file.has_value();
  SetDefaultRoles(impl->kind, impl->settings);
  const auto need = [&](const char* what) -> const Json& {
    if (!file) {
      throw Error(ErrorCode::kNotFound,
                  "{}: tokenizer.json is missing, from which the tokenizer of {} is read; save the "
                  "tokenizer by transformers, which writes it",
                  PathText(directory), what);
    }
    return *file;
  };
  switch (impl->kind) {
    case TokenizerClass::kT5:
    case TokenizerClass::kXlmRoberta:
      impl->LoadUnigram(file);
      break;
    case TokenizerClass::kGemma:
    case TokenizerClass::kSiglip2:
      impl->LoadGemma(need("Gemma"));
      break;
    case TokenizerClass::kBert:
      impl->LoadBert(file);
      break;
    case TokenizerClass::kSiglip:
      impl->LoadSiglip();
      break;
    case TokenizerClass::kFile:
      impl->LoadFileAlone(need("this class"));
      break;
  }
  impl->SetRule();
  return FileTokenizer(std::move(impl));
}

Tokens FileTokenizer::Encode(std::string_view text) const {
  const Impl& impl = *impl_;
  if (text.size() > kMaxEncodedBytes) {
    throw Error(ErrorCode::kExhausted, "a text of {} bytes; {} are the most that are read",
                text.size(), kMaxEncodedBytes);
  }
  std::string clean;
  if (impl.rule.cleaning != TextCleaning::kNone) {
    clean = EncodeUtf8(CleanText(text, impl.rule.cleaning));
  } else if (FindInvalidUtf8(text) == std::string_view::npos) {
    clean = text;
  } else {
    DecodeUtf8(text);  // names the byte
  }
  const auto context = ToSize(impl.rule.context_length);
  const std::size_t room = context - impl.frame.front.size() - impl.frame.behind.size();
  std::vector<std::int32_t> own;
  const bool siglip = impl.kind == TokenizerClass::kSiglip;
  if (siglip) {
    impl.EncodeSiglip(clean, room, own);
  } else {
    impl.EncodeText(clean, room, own);
  }

  Tokens tokens;
  tokens.truncated = own.size() > room;
  own.resize(std::min(own.size(), room));
  tokens.words = static_cast<Index>(own.size());
  std::vector<std::int32_t>& ids = tokens.ids;
  ids.reserve(context);
  ids = impl.frame.front;
  ids.insert(ids.end(), own.begin(), own.end());
  // SiglipTokenizer leaves a text as it is that ends in the end token already.
  const bool ended = siglip && !own.empty() && own.back() == impl.frame.behind.back();
  if (!ended) ids.insert(ids.end(), impl.frame.behind.begin(), impl.frame.behind.end());
  if (ended) --tokens.words;
  if (impl.separator >= 0) std::replace(ids.begin(), ids.end(), impl.separator, 0);
  tokens.count = static_cast<Index>(ids.size());
  // A separator that became padding is padding.
  const auto text_end = static_cast<Index>(impl.frame.front.size()) + tokens.words;
  while (impl.separator >= 0 && tokens.count > text_end &&
         ids[ToSize(tokens.count) - 1] == impl.pad) {
    --tokens.count;
  }
  tokens.end = impl.rule.fills_context
                   ? impl.rule.context_length - 1
                   : static_cast<Index>(std::find(ids.begin(), ids.end(), impl.end) - ids.begin());
  ids.resize(context, impl.pad);
  return tokens;
}

std::vector<TextWord> FileTokenizer::Words(const Tokens& tokens) const {
  const Impl& impl = *impl_;
  const auto front = static_cast<Index>(impl.frame.front.size());
  std::vector<TextWord> words;
  const auto add = [&](std::string text, Index place) {
    words.push_back({std::move(text), place, place + 1});
  };
  bool open = false;  // the last word may go on
  for (Index i = 0; i <= tokens.end; ++i) {
    const std::int32_t id = tokens.ids.at(ToSize(i));
    if (i >= tokens.count) {
      words.push_back({kPaddingWord, i, tokens.end + 1});
      break;
    }
    if (i < front || i >= front + tokens.words || i == tokens.end) {
      add(i < front ? kStartWord : kEndWord, i);
      open = false;
      continue;
    }
    std::string_view token = impl.Spelling(id);
    if (impl.added.contains(id)) {
      add(std::string(token), i);
      open = false;
      continue;
    }
    bool begins = !open;
    if (!impl.continuing.empty()) {
      begins = !token.starts_with(impl.continuing);
      if (!begins) token.remove_prefix(impl.continuing.size());
    } else if (token.starts_with(kPieceBlank)) {
      begins = true;
      token.remove_prefix(kPieceBlank.size());
    }
    std::string text(token);
    if (const std::optional<char> byte = ByteOfToken(token)) text = std::string(1, *byte);
    if (begins || words.empty()) {
      add(std::move(text), i);
    } else {
      words.back().text += text;
      words.back().end = i + 1;
    }
    open = true;
  }
  // A blank that stands alone.
  for (TextWord& word : words) {
    if (word.text.empty()) word.text = kPieceBlank;
  }
  return words;
}

Index FileTokenizer::vocabulary_size() const { return impl_->vocabulary_size; }
Index FileTokenizer::context_length() const { return impl_->rule.context_length; }

}  // namespace cliplens
