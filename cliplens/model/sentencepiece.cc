#include "cliplens/model/sentencepiece.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/byte_cursor.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/stand_in.h"

namespace cliplens {
namespace {

// The largest normalized text.
constexpr std::size_t kMaxNormalizedBytes = std::size_t{64} << 20;

// One field of a message in the format of protocol buffers.
struct ProtoField {
  std::uint64_t number = 0;
  std::uint64_t value = 0;              // of a varint or a fixed number
  std::span<const std::uint8_t> bytes;  // of a text or a message
};

// Calls `on_field` for each field of a message.
template <typename OnField>
void ForFields(std::span<const std::uint8_t> message, const std::string& name, OnField&& on_field) {
  ByteCursor cursor(message, name);
  while (!cursor.rest().empty()) {
    const std::uint64_t tag = cursor.Varint();
    ProtoField field{.number = tag >> 3, .value = 0, .bytes = {}};
    switch (tag & 7) {
      case 0:
        field.value = cursor.Varint();
        break;
      case 1:
        field.value = cursor.Number<std::uint64_t>();
        break;
      case 2:
        field.bytes = cursor.Take(cursor.Varint());
        break;
      case 5:
        field.value = cursor.Number<std::uint32_t>();
        break;
      default:
        cursor.Fail(fmt::format("a field of the unknown kind {}", tag & 7));
    }
    on_field(field);
  }
}

std::string TextOf(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

UnigramPiece ReadPiece(std::span<const std::uint8_t> message, std::size_t id,
                       const std::string& name) {
  UnigramPiece piece;
  std::uint64_t kind = 1;
  ForFields(message, name, [&](const ProtoField& field) {
    if (field.number == 1) piece.text = TextOf(field.bytes);
    if (field.number == 2)
      piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
    if (field.number == 3) kind = field.value;
  });
  if (kind < 1 || kind > 6) {
    throw Error(ErrorCode::kCorruptData,
                "{}: piece {} is of the unknown kind {}; fetch the file again", name, id, kind);
  }
  piece.kind = static_cast<PieceKind>(kind);
  if (FindInvalidUtf8(piece.text) != std::string_view::npos) {
    throw Error(ErrorCode::kCorruptData, "{}: piece {} (\"{}\") is not UTF-8; fetch the file again",
                name, id, Printable(piece.text));
  }
  return piece;
}

UnigramVocabulary VocabularyOf(const SentencePieceModel& model) {
  if (!model.is_unigram) {
    throw Error(ErrorCode::kUnsupported,
                "{}: the model is no unigram model; save the tokenizer by transformers, which "
                "writes a tokenizer.json that is read",
                model.name);
  }
  UnigramVocabulary vocabulary{.pieces = model.pieces,
                               .unknown = std::nullopt,
                               .byte_fallback = model.byte_fallback,
                               .rule = UnigramRule::kSentencePiece};
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].kind == PieceKind::kUserDefined) {
      throw Error(
          ErrorCode::kUnsupported,
          "{}: piece {} (\"{}\") is user-defined, which is not followed; save the tokenizer "
          "by transformers, which writes a tokenizer.json that is read",
          model.name, id, Printable(model.pieces[id].text));
    }
    if (model.pieces[id].kind != PieceKind::kUnknown) continue;
    if (vocabulary.unknown) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: the pieces {} and {} are both for the unknown; fetch the file again",
                  model.name, *vocabulary.unknown, id);
    }
    vocabulary.unknown = static_cast<std::int32_t>(id);
  }
  if (!vocabulary.unknown) {
    throw Error(ErrorCode::kCorruptData, "{}: no piece stands for the unknown; fetch it again",
                model.name);
  }
  return vocabulary;
}

}  // namespace

SentencePieceModel ParseSentencePieceModel(std::string_view bytes, const std::string& name) {
  SentencePieceModel model;
  model.name = name;
  std::uint64_t type = 1;
  const std::span message(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  ForFields(message, name, [&](const ProtoField& part) {
    if (part.number == 1) model.pieces.push_back(ReadPiece(part.bytes, model.pieces.size(), name));
    model.has_settings = model.has_settings || part.number == 2 || part.number == 3;
    if (part.number == 2) {  // trainer_spec
      ForFields(part.bytes, name, [&](const ProtoField& field) {
        if (field.number == 3) type = field.value;
        if (field.number == 24) model.blank_behind = field.value != 0;
        if (field.number == 35) model.byte_fallback = field.value != 0;
        if (field.number == 40) model.unknown = static_cast<std::int32_t>(field.value);
      });
    }
    if (part.number == 3) {  // normalizer_spec
      ForFields(part.bytes, name, [&](const ProtoField& field) {
        if (field.number == 2) model.character_map = TextOf(field.bytes);
        if (field.number == 3) model.blank_in_front = field.value != 0;
        if (field.number == 4) model.single_blanks = field.value != 0;
        if (field.number == 5) model.escape_blanks = field.value != 0;
      });
    }
  });
  model.is_unigram = type == 1;
  if (model.pieces.empty()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: no pieces, so this is no sentencepiece model; fetch the file again", name);
  }
  return model;
}

SentencePieceModel ReadSentencePieceModel(const std::filesystem::path& path) {
  const std::string name = PathText(path);
  const std::string content = ReadTextFile(path, kMaxSentencePieceBytes);
  RefuseStandIn(content, name);
  SentencePieceModel model = ParseSentencePieceModel(content, name);
  if (!model.has_settings) {
    throw Error(ErrorCode::kCorruptData,
                "{}: ends behind piece {}, without the settings that follow the pieces; it was cut "
                "off, fetch the file again",
                name, std::ssize(model.pieces) - 1);
  }
  return model;
}

SentencePiece::SentencePiece(const SentencePieceModel& model)
    : unigram_(VocabularyOf(model), model.name),
      map_(CharacterMap::Parse(model.character_map, model.name)),
      blank_in_front_(model.blank_in_front),
      blank_behind_(model.blank_behind),
      single_blanks_(model.single_blanks),
      blank_(model.escape_blanks ? kPieceBlank : std::string_view(" ")) {}

// What the text begins with and what it becomes.
CharacterMap::Match SentencePiece::TakeCharacter(std::string_view text) const {
  CharacterMap::Match match = map_.Longest(text);
  if (match.length == 0) {
    match.length = std::max<std::size_t>(Utf8SequenceLength(text), 1);
    match.replacement = text.substr(0, match.length);
  }
  return match;
}

std::string SentencePiece::Normalize(std::string_view text) const {
  std::string out;
  while (single_blanks_ && !text.empty()) {
    const CharacterMap::Match match = TakeCharacter(text);
    if (match.replacement != " ") break;
    text.remove_prefix(match.length);
  }
  if (text.empty()) return out;
  out.reserve(text.size() * 3 / 2);
  if (blank_in_front_ && !blank_behind_) out += blank_;
  bool after_blank = single_blanks_;
  while (!text.empty()) {
    const CharacterMap::Match match = TakeCharacter(text);
    text.remove_prefix(match.length);
    std::string_view part = match.replacement;
    while (after_blank && part.starts_with(' ')) part.remove_prefix(1);
    if (!part.empty()) after_blank = single_blanks_ && part.ends_with(' ');
    if (!single_blanks_) after_blank = false;
    for (const char c : part) {
      if (c == ' ') {
        out += blank_;
      } else {
        out += c;
      }
    }
    if (out.size() > kMaxNormalizedBytes) {
      throw Error(ErrorCode::kExhausted,
                  "a text that its tokenizer makes longer than {} bytes, the most that are read",
                  kMaxNormalizedBytes);
    }
  }
  while (single_blanks_ && std::string_view(out).ends_with(blank_)) {
    out.resize(out.size() - blank_.size());
  }
  if (blank_in_front_ && blank_behind_) out += blank_;
  return out;
}

void SentencePiece::Encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  unigram_.Encode(Normalize(text), ids);
}

}  // namespace cliplens
