#include "cliplens/model/text_rows.h"

#include <algorithm>
#include <cmath>

#include "cliplens/base/error.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/io/file.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

std::filesystem::path TextsBeside(const std::filesystem::path& file) {
  if (file.extension() != ".npy") {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: rows of texts are a .npy file, with the texts in a .txt file of the same name "
                "beside it",
                Printable(file.string()));
  }
  return std::filesystem::path(file).replace_extension(".txt");
}

// Rows of one text that was embedded twice, perhaps in halves and in another batch.
constexpr double kSameRow = 0.999;

double Cosine(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

}  // namespace

void TextRows::Add(const std::filesystem::path& file) {
  const std::string name = Printable(file.string());
  const std::filesystem::path beside = TextsBeside(file);
  NpyArray array = ReadNpy(file);
  const TextPool texts = ReadTextPool(beside);
  const Index count = std::ssize(texts.texts);
  if (array.shape.size() != 2 || array.shape[0] != count || array.shape[1] < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: an array of {}, {} has {} texts; a row for each of them is wanted", name,
                fmt::join(array.shape, " x "), Printable(beside.string()), count);
  }
  const Index width = array.shape[1];
  if (width_ != 0 && width != width_) {
    throw Error(ErrorCode::kInvalidArgument, "{}: rows of {} numbers, those of {} have {}", name,
                width, Printable(files_.front().string()), width_);
  }
  width_ = width;
  for (Index i = 0; i < count; ++i) {
    const std::span<float> row = std::span(array.values).subspan(ToSize(i * width), ToSize(width));
    double square = 0;
    for (const float v : row) square += double{v} * double{v};
    const double length = std::sqrt(square);
    if (!(length > 0) || !std::isfinite(length)) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: row {} ('{}') is of length {} and has no direction; embed this text again",
                  name, i, Printable(At(texts.texts, i), 80), length);
    }
    for (float& v : row) v = static_cast<float>(v / length);
    const auto next = static_cast<Index>(rows_.size()) / width;
    const auto [known, added] = row_of_.emplace(At(texts.texts, i), next);
    if (added) {
      rows_.insert(rows_.end(), row.begin(), row.end());
    } else if (Cosine(row, Find(known->first)) < kSameRow) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: row {} ('{}') is another than the one before it for the same text", name, i,
                  Printable(At(texts.texts, i), 80));
    }
  }
  files_.push_back(file);
}

TextRows TextRows::Read(const std::vector<std::filesystem::path>& files) {
  TextRows rows;
  for (const std::filesystem::path& file : files) rows.Add(file);
  std::vector<std::pair<std::string_view, Index>> sorted(rows.row_of_.begin(), rows.row_of_.end());
  std::ranges::sort(sorted);
  Hasher hasher;
  for (const auto& [text, row] : sorted) {
    hasher.Update(std::to_string(text.size()) + " ");
    hasher.Update(text);
    hasher.Update(AsBytes(std::span<const float>(rows.rows_)
                              .subspan(ToSize(row * rows.width_), ToSize(rows.width_))));
  }
  rows.digest_ = hasher.Digest();
  return rows;
}

std::span<const float> TextRows::Find(const std::string& text) const {
  const auto found = row_of_.find(text);
  if (found == row_of_.end()) {
    throw Error(
        ErrorCode::kNotFound,
        "'{}': no row for this text among the {} of {}; add the text to a .txt file and its "
        "embedding to the .npy file beside it",
        Printable(text, 120), size(), Printable(files_.front().string()));
  }
  return std::span(rows_).subspan(ToSize(found->second * width_), ToSize(width_));
}

}  // namespace cliplens
