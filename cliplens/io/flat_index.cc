#include "cliplens/io/flat_index.h"

#include <algorithm>

#include <faiss/IndexFlat.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

class ToFile : public faiss::IOWriter {
 public:
  ToFile(const fs::path& path, OutputFiles& files) : path_(path), files_(files) {}
  std::size_t operator()(const void* bytes, std::size_t size, std::size_t count) override {
    const std::span<const std::uint8_t> part(static_cast<const std::uint8_t*>(bytes), size * count);
    hasher_.Update(part);
    files_.Write(path_, part);
    return count;
  }
  std::string Digest() const { return hasher_.Digest(); }

 private:
  const fs::path& path_;
  OutputFiles& files_;
  Hasher hasher_;
};

class FromFile : public faiss::IOReader {
 public:
  explicit FromFile(const RandomAccessFile& file) : file_(file) {}
  std::size_t operator()(void* to, std::size_t size, std::size_t count) override {
    const std::size_t whole = size == 0 ? 0 : std::min(count, ToSize(file_.size() - at_) / size);
    const std::span<std::uint8_t> bytes(static_cast<std::uint8_t*>(to), whole * size);
    file_.Read(at_, bytes);
    hasher_.Update(bytes);
    at_ += static_cast<Index>(bytes.size());
    return whole;
  }
  std::string Digest() const { return hasher_.Digest(); }

 private:
  const RandomAccessFile& file_;
  Index at_ = 0;
  Hasher hasher_;
};

// What FAISS writes before the vectors of an IndexFlatIP: the four letters, width (int32), number
// of vectors (int64), two unused int64, a byte "is trained", metric (int32), count of the floats.
std::vector<std::uint8_t> HeadOfFile(Index rows, Index width) {
  std::vector<std::uint8_t> head;
  const auto put = [&](auto value) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    head.insert(head.end(), bytes, bytes + sizeof(value));
  };
  head.insert(head.end(), {'I', 'x', 'F', 'I'});
  put(static_cast<std::int32_t>(width));
  put(static_cast<std::int64_t>(rows));
  put(std::int64_t{1} << 20);
  put(std::int64_t{1} << 20);
  put(std::uint8_t{1});
  put(std::int32_t{0});
  put(static_cast<std::uint64_t>(rows * width));
  return head;
}

}  // namespace

struct FlatIndex::Impl {
  explicit Impl(Index width) : index(width) {}
  faiss::IndexFlatIP index;
};

FlatIndex::FlatIndex(Index width) : impl_(std::make_unique<Impl>(width)) {}
FlatIndex::~FlatIndex() = default;
FlatIndex::FlatIndex(FlatIndex&&) noexcept = default;
FlatIndex& FlatIndex::operator=(FlatIndex&&) noexcept = default;

Index FlatIndex::rows() const { return impl_->index.ntotal; }
Index FlatIndex::width() const { return impl_->index.d; }

void FlatIndex::Add(ArrayView<const float, 2> rows) {
  if (rows.dim(1) != width()) {
    throw Error(ErrorCode::kInvalidArgument, "index: vectors of {} numbers in an index of {}",
                rows.dim(1), width());
  }
  impl_->index.add(rows.dim(0), rows.data());
}

std::string FlatIndex::Write(const fs::path& path, OutputFiles& files) const {
  ToFile file(path, files);
  faiss::write_index(&impl_->index, &file);
  return file.Digest();
}

FlatIndex FlatIndex::Read(const fs::path& path, Index rows, Index width,
                          const std::string& checksum) {
  const RandomAccessFile file(path);
  const std::vector<std::uint8_t> head = HeadOfFile(rows, width);
  const Index size =
      static_cast<Index>(head.size()) + rows * width * static_cast<Index>(sizeof(float));
  if (file.size() != size) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} bytes, an index of {} vectors of {} numbers has {}; make it again",
                path.string(), file.size(), rows, width, size);
  }
  if (file.ReadStart(static_cast<Index>(head.size())) != head) {
    throw Error(ErrorCode::kCorruptData,
                "{}: no FAISS IndexFlatIP of {} vectors of {} numbers; make it again",
                path.string(), rows, width);
  }
  FromFile reader(file);
  try {
    const std::unique_ptr<faiss::Index> read(faiss::read_index(&reader));
    auto* flat = dynamic_cast<faiss::IndexFlatIP*>(read.get());
    if (flat == nullptr) {
      throw Error(ErrorCode::kCorruptData, "{}: no FAISS IndexFlatIP; make it again",
                  path.string());
    }
    if (reader.Digest() != checksum) {
      throw Error(ErrorCode::kCorruptData, "{}: its checksum is not {}; make it again",
                  path.string(), checksum);
    }
    FlatIndex index(width);
    index.impl_->index = std::move(*flat);
    return index;
  } catch (const faiss::FaissException& error) {
    throw Error(ErrorCode::kCorruptData, "{}: FAISS cannot read it; make it again", path.string());
  }
}

std::span<const float> FlatIndex::row(Index i) const {
  if (i < 0 || i >= rows()) {
    throw Error(ErrorCode::kInvalidArgument, "index: no vector {}; it has vectors 0 to {}", i,
                rows() - 1);
  }
  return {impl_->index.get_xb() + i * width(), ToSize(width())};
}

std::vector<FlatIndex::Found> FlatIndex::Search(std::span<const float> query, Index count) const {
  if (static_cast<Index>(query.size()) != width()) {
    throw Error(ErrorCode::kInvalidArgument, "index: a query of {} numbers in an index of {}",
                query.size(), width());
  }
  const Index take = std::min(count, rows());
  if (take < 1) return {};
  std::vector<float> scores(ToSize(take));
  std::vector<faiss::Index::idx_t> labels(scores.size());
  impl_->index.search(1, query.data(), take, scores.data(), labels.data());
  std::vector<Found> found;
  for (std::size_t i = 0; i < scores.size(); ++i) found.push_back({labels[i], scores[i]});
  return found;
}

}  // namespace cliplens
