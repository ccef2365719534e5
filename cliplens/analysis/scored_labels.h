// What analyses of accuracy share: checked labels, right answers, sums by block of pictures.
//
//   CheckLabels("ablation", store, labels, classifier.dim(0));
//   Print(BestClass(Matrix::Identity(3, 3), /*row=*/1));   // 1
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// Throws Error(kInvalidArgument), opening with `where`, unless there is a label for each picture of
// the store, all are classes or −1, and at least one is a class; Error(kPrecondition) for a store
// with statistics only.
void CheckLabels(std::string_view where, const Store& store, std::span<const Index> labels,
                 Index classes);
// The same for so many pictures, wherever they are from.
void CheckLabelsOf(std::string_view where, Index pictures, std::span<const Index> labels,
                   Index classes);

// The best class of a row of scores; ties go to the lower class.
Index BestClass(const Matrix& scores, Index row);

// Figures of pictures, summed by blocks for the bootstrap.
class BlockSums {
 public:
  explicit BlockSums(Index figures, Index blocks);
  // values [figures] of the picture with this path.
  void Add(std::string_view path, std::span<const double> values);
  Index pictures() const { return pictures_; }
  const std::vector<double>& sum(Index figure) const { return At(sums_, figure); }
  const std::vector<double>& counted() const { return counted_; }

 private:
  std::vector<std::vector<double>> sums_;  // [figures][blocks]
  std::vector<double> counted_;            // [blocks]
  Index pictures_ = 0;
};

struct PictureSumOptions {
  Index figures = 0;  // of a picture
  Index blocks = 0;   // of the bootstrap
  Index chunk = 64;   // pictures a task
  int threads = 0;
  ProgressSink progress = {};  // pictures
};
// Writes the figures [count, figures] of pictures [begin, begin + count) of a block, whose labels
// are the span. Rows of pictures without a label are not used.
using FillFigures = std::function<void(const FactorBlock& block, Index begin,
                                       std::span<const Index> labels, double* values)>;
// Sums the figures of all pictures of a store that have a label, shard by shard.
BlockSums SumOverPictures(const Store& store, std::span<const Index> labels,
                          const PictureSumOptions& options, const FillFigures& fill);

}  // namespace cliplens
