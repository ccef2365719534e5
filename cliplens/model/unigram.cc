#include "cliplens/model/unigram.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// How much less than the lowest piece a character without piece scores.
constexpr double kUnknownPenalty = 10;

std::string ByteToken(unsigned byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace

// The best split of the text up to a place.
struct Unigram::Best {
  double score = 0;
  std::int32_t begin = -1;  // of its last piece; -1: no split ends here
  std::int32_t id = 0;
};

Unigram::Unigram(UnigramVocabulary vocabulary, const std::string& name)
    : vocabulary_(std::move(vocabulary)), name_(name) {
  const std::vector<UnigramPiece>& pieces = vocabulary_.pieces;
  const bool sentencepiece = vocabulary_.rule == UnigramRule::kSentencePiece;
  const auto count = static_cast<std::int32_t>(pieces.size());
  if (vocabulary_.unknown && (*vocabulary_.unknown < 0 || *vocabulary_.unknown >= count)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the unknown token is {}, the vocabulary has {} pieces; fetch the file again",
                name, *vocabulary_.unknown, count);
  }
  double lowest = std::numeric_limits<double>::infinity();
  std::vector<std::pair<std::string_view, std::int32_t>> found;
  found.reserve(pieces.size());
  for (std::int32_t id = 0; id < count; ++id) {
    const UnigramPiece& piece = At(pieces, id);
    if (!std::isfinite(piece.score) || piece.text.empty()) {
      throw Error(ErrorCode::kCorruptData, "{}: piece {} (\"{}\") {}; fetch the file again", name,
                  id, Printable(piece.text),
                  piece.text.empty() ? "is empty" : "has a score that is no number");
    }
    if (sentencepiece && piece.kind != PieceKind::kNormal) continue;
    lowest = std::min(lowest, piece.score);
    found.emplace_back(piece.text, id);
  }
  unknown_score_ = (std::isinf(lowest) ? 0 : lowest) - kUnknownPenalty;
  if (sentencepiece) unknown_score_ = static_cast<float>(unknown_score_);

  std::unordered_map<std::string_view, std::int32_t> id_of;
  id_of.reserve(pieces.size());
  for (std::int32_t id = 0; id < count; ++id) {
    const auto [place, added] = id_of.emplace(At(pieces, id).text, id);
    if (!added && sentencepiece) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: the pieces {} and {} are both \"{}\"; fetch the file again", name,
                  place->second, id, Printable(At(pieces, id).text));
    }
    place->second = id;
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto place = id_of.find(ByteToken(byte));
    bytes_[byte] = place == id_of.end() ? -1 : place->second;
    // tokenizers takes the unknown token for characters of which a byte is missing.
    if (bytes_[byte] < 0 && vocabulary_.byte_fallback && sentencepiece) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: characters without piece become bytes, but there is no piece \"{}\"; fetch "
                  "the file again",
                  name, ByteToken(byte));
    }
  }
  trie_ = PieceTrie(std::move(found));
}

template <typename Real>
void Unigram::FindBest(std::string_view text, std::vector<Best>& best) const {
  best.assign(text.size() + 1, Best{});
  best[0].begin = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const double before = best[begin].score;
    const std::size_t character = std::max<std::size_t>(Utf8SequenceLength(text.substr(begin)), 1);
    const auto offer = [&](std::size_t length, double score, std::int32_t id) {
      Best& end = best[begin + length];
      const double rounded = static_cast<Real>(score);
      if (end.begin < 0 || rounded > end.score) {
        end = {rounded, static_cast<std::int32_t>(begin), id};
      }
    };
    bool alone = false;  // the character is a piece of its own
    trie_.ForPrefixes(text.substr(begin), [&](std::size_t length, std::int32_t id) {
      offer(length, At(vocabulary_.pieces, id).score + before, id);
      alone = alone || length == character;
    });
    if (!alone) offer(character, unknown_score_ + before, vocabulary_.unknown.value_or(-1));
    begin += character;
  }
}

bool Unigram::AppendBytes(std::string_view text, std::vector<std::int32_t>& reversed) const {
  if (!vocabulary_.byte_fallback) return false;
  const auto id_of = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
  if (std::any_of(text.begin(), text.end(), [&](char c) { return id_of(c) < 0; })) return false;
  for (auto c = text.rbegin(); c != text.rend(); ++c) reversed.push_back(id_of(*c));
  return true;
}

void Unigram::AppendUnknown(std::string_view text, std::vector<std::int32_t>& reversed) const {
  if (AppendBytes(text, reversed)) return;
  if (!vocabulary_.unknown) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: no piece for \"{}\" and no unknown token; the text cannot be written in this "
                "vocabulary",
                name_, Printable(text));
  }
  reversed.push_back(*vocabulary_.unknown);
}

void Unigram::Encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (text.empty()) return;
  if (text.size() >= ToSize(std::numeric_limits<std::int32_t>::max())) {
    throw Error(ErrorCode::kExhausted, "a text of {} bytes; {} are the most that are split",
                text.size(), std::numeric_limits<std::int32_t>::max());
  }
  thread_local std::vector<Best> best;
  thread_local std::vector<std::int32_t> reversed;
  reversed.clear();
  if (vocabulary_.rule == UnigramRule::kSentencePiece) {
    FindBest<float>(text, best);
  } else {
    FindBest<double>(text, best);
  }
  const std::int32_t unknown = vocabulary_.unknown.value_or(-1);
  for (std::size_t end = text.size(); end > 0;) {
    std::size_t begin = ToSize(best[end].begin);
    if (best[end].id != unknown) {
      reversed.push_back(best[end].id);
      end = begin;
      continue;
    }
    // A run of unknown characters; the neighbours of a character that became bytes stay apart.
    while (begin > 0 && best[begin].id == unknown) begin = ToSize(best[begin].begin);
    const std::string_view run = text.substr(begin, end - begin);
    const std::optional<std::int32_t> piece =
        vocabulary_.rule == UnigramRule::kTokenizers ? trie_.Find(run) : std::nullopt;
    if (piece) {
      reversed.push_back(*piece);
    } else {
      AppendUnknown(run, reversed);
    }
    end = begin;
  }
  ids.insert(ids.end(), reversed.rbegin(), reversed.rend());
  if (best.capacity() > (std::size_t{1} << 20)) std::vector<Best>().swap(best);
}

}  // namespace cliplens
