// Exact nearest-neighbour indices by inner product in FAISS's file format ("IndexFlatIP"). Only
// flat_index.cc uses FAISS.
//
//   FlatIndex index(width);
//   index.Add(rows);
//   OutputFiles files({"colour.faiss"});
//   const std::string checksum = index.Write("colour.faiss", files);
//   files.Commit();
//   const FlatIndex again = FlatIndex::Read("colour.faiss", images, width, checksum);
//   for (const FlatIndex::Found& found : again.Search(query, 10)) Print(found.row, found.score);
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/output_files.h"

namespace cliplens {

class FlatIndex {
 public:
  explicit FlatIndex(Index width);
  ~FlatIndex();
  FlatIndex(FlatIndex&&) noexcept;
  FlatIndex& operator=(FlatIndex&&) noexcept;

  void Add(ArrayView<const float, 2> rows);  // [n, width]
  // Writes `path`, which is one of `files`. Returns HashBytes of the file.
  std::string Write(const std::filesystem::path& path, OutputFiles& files) const;
  // Checks the file's header and size against `rows` and `width` before it allocates memory, and
  // the whole file against `checksum`, which Write returned. Error(kCorruptData) names what
  // differs.
  static FlatIndex Read(const std::filesystem::path& path, Index rows, Index width,
                        const std::string& checksum);

  Index rows() const;
  Index width() const;
  std::span<const float> row(Index i) const;

  struct Found {
    Index row = 0;
    float score = 0;
  };
  // The rows of largest inner product with `query` [width], best first, at most `count`.
  std::vector<Found> Search(std::span<const float> query, Index count) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cliplens
