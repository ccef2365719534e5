#include "cliplens/analysis/variance.h"

#include <cmath>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {

std::vector<ComponentShare> ComponentShares(const Statistics& statistics, const Basis& basis) {
  if (statistics.images() < 2) {
    throw Error(ErrorCode::kPrecondition,
                "the variance of {} pictures is not defined; decompose at least two",
                statistics.images());
  }
  const SliceStatistics total = statistics.Total(basis);
  const Components components = statistics.components();
  const Index count = components.size();
  std::vector<ComponentShare> shares(ToSize(count));
  ParallelFor(/*threads=*/0, count, [&](Index i, int) {
    const auto at = ToSize(i);
    ComponentShare& c = shares[at];
    c.component = NameOf(components.at(i));
    if (components.IsHead(i)) {
      const HeadId id = components.HeadAt(i);
      c.layer = id.layer;
      c.head = id.head;
      c.level = id.level;
      c.variance = total.heads[at].Variance(basis.at(id));
    } else {
      const Index mlp = components.ResidualAt(i);
      const ComponentId id = components.at(i);
      c.layer = id.kind == ComponentId::Kind::kInput ? -1 : id.layer;
      const TraceMoments& m = At(total.mlps, mlp);
      c.variance = m.trace / m.count;
    }
    c.share = total.embedding.trace > 0 ? total.shared[at] / total.embedding.trace : 0.0;
    // Standard error over the slices that have variance of their own.
    double sum = 0;
    double squares = 0;
    double n = 0;
    for (Index s = 0; s < statistics.slices(); ++s) {
      const SliceStatistics& slice = statistics.slice(s);
      if (slice.embedding.count < 2 || slice.embedding.trace <= 0) continue;
      const double share = slice.shared[at] / slice.embedding.trace;
      sum += share;
      squares += share * share;
      n += 1;
    }
    if (n >= 2) {
      const double variance = std::max(0.0, (squares - sum * sum / n) / (n - 1));
      c.spread = std::sqrt(variance / n);
    }
  });
  return shares;
}

const ComponentShare* ShareOfPoolMlp(const std::vector<ComponentShare>& shares) {
  const std::string name = NameOf(ComponentId{.kind = ComponentId::Kind::kPoolMlp});
  if (shares.empty() || shares.back().component != name) return nullptr;
  return &shares.back();  // its number is the last
}

const ComponentShare& ShareOfHead(const std::vector<ComponentShare>& shares, HeadId head) {
  for (const ComponentShare& share : shares) {
    if (share.head >= 0 && share.head_id() == head) return share;
  }
  throw Error(ErrorCode::kInvalidArgument, "head {} has no share", HeadName(head));
}

}  // namespace cliplens
