#include "cliplens/model/added_token_finder.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "cliplens/base/index.h"
#include "cliplens/io/code_points.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/text/hugging_face.h"

namespace cliplens {
namespace {

bool IsBlankSequence(std::string_view sequence) {
  return (BertClassOf(CodePointOf(sequence)) & kBertSpace) != 0;
}

// The length of the white space at the end of a text, and at its start.
std::size_t BlankBehind(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    if (!IsBlankSequence(text.substr(begin, end - begin))) break;
    end = begin;
  }
  return text.size() - end;
}

std::size_t BlankInFront(std::string_view text) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t length = Utf8SequenceLength(text.substr(begin));
    if (length == 0 || !IsBlankSequence(text.substr(begin, length))) break;
    begin += length;
  }
  return begin;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::vector<std::pair<std::string_view, std::int32_t>> places;
  places.reserve(tokens_.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    places.emplace_back(tokens_[i].text, static_cast<std::int32_t>(i));
  }
  places_ = PieceTrie(std::move(places));
}

bool AddedTokenFinder::Split(std::string_view text, const OnPart& on_part,
                             const OnToken& on_token) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !tokens_.empty();) {
    const AddedToken* token = nullptr;
    places_.ForPrefixes(text.substr(at),
                        [&](std::size_t, std::int32_t place) { token = &At(tokens_, place); });
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    at += token->text.size();
    if (token->strips_left) begin = std::max(done, begin - BlankBehind(text.substr(0, begin)));
    begin = std::max(begin, done);
    if (begin > done && !on_part(text.substr(done, begin - done))) return false;
    if (!on_token(token->id)) return false;
    done = at;
    if (token->strips_right) done += BlankInFront(text.substr(at));
    at = std::max(at, done);
  }
  return done == text.size() || on_part(text.substr(done));
}

}  // namespace cliplens
