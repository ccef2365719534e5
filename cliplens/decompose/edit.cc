#include "cliplens/decompose/edit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

using Kind = ComponentId::Kind;

constexpr double kLeastEditedLength = 1e-5;

Edit EditOf(const StoreInfo& store, const Basis& basis) {
  Edit edit;
  edit.model_name = store.model_name;
  edit.fingerprint = store.fingerprint;
  edit.layers = basis.layers();
  edit.heads = basis.num_heads();
  edit.embed_width = basis.embed_width();
  edit.pool_mlp = basis.pool_mlp();
  edit.level = basis.components().level();
  return edit;
}

void CheckTargets(std::span<const ComponentId> targets) {
  if (targets.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "an edit of nothing: name a head, layer, MLP or INPUT");
  }
}

}  // namespace

std::string Edit::Names() const {
  std::string names;
  for (const EditComponent& c : components) {
    names += (names.empty() ? "" : ", ") + NameOf(c.target);
  }
  return names;
}

Vector Edit::Constant() const {
  Vector constant = Vector::Zero(embed_width);
  for (const EditComponent& c : components) {
    for (std::size_t k = 0; k < c.constant.size(); ++k) {
      constant[static_cast<Index>(k)] += static_cast<double>(c.constant[k]);
    }
  }
  return constant;
}

void Edit::CheckLeavesSomething() const {
  std::vector<bool> gone(ToSize(sizes().size()), false);
  for (const EditComponent& c : components) {
    if (c.mean || c.scale != 0) return;
    const auto [begin, end] = sizes().NumbersOf(c.target);
    std::fill(gone.begin() + begin, gone.begin() + end, true);
  }
  if (!std::ranges::all_of(gone, std::identity())) return;
  throw Error(ErrorCode::kInvalidArgument,
              "an edit that scales every component by 0 leaves nothing, which has no direction; "
              "leave a component out, or replace by means");
}

void Edit::CheckSizes(const Components& other, Index embedding) const {
  if (sizes() == other && embed_width == embedding) return;
  if (level != other.level()) {
    throw Error(ErrorCode::kInvalidArgument,
                "an edit at the level of the {} for heads of the {}; make the edit from a store of "
                "that level, or name the edit's with --level {}",
                NameOf(level), NameOf(other.level()), NameOf(level));
  }
  throw Error(ErrorCode::kInvalidArgument,
              "an edit of {} x {} heads and an embedding of {} for a model of {} x {} and {}",
              layers, heads, embed_width, other.layers(), other.heads_a_layer(), embedding);
}

ContributionMeans::ContributionMeans(const Basis& basis, const Statistics& statistics)
    : basis_(basis), total_(statistics.Total(basis)) {}

Index ContributionMeans::images() const { return static_cast<Index>(total_.embedding.count); }

Vector ContributionMeans::Of(const ComponentId& target) const {
  const auto head = [&](Index h) -> Vector {
    const HeadId id{target.layer, static_cast<int>(h), target.level};
    const Vector& mean = At(total_.heads, basis_.components().NumberOf(id)).mean;
    if (basis_.is_identity()) return mean;
    return AsEigen(basis_.at(id)).cast<double>().transpose() * mean;
  };
  switch (target.kind) {
    case Kind::kInput:
      return total_.mlps.front().mean;
    case Kind::kMlp:
    case Kind::kPoolMlp:
      return At(total_.mlps, ResidualPartOf(target)).mean;
    case Kind::kHead:
      return head(target.head);
    case Kind::kLayer:
      break;
  }
  Vector sum = Vector::Zero(basis_.embed_width());
  for (Index h = 0; h < basis_.num_heads(); ++h) sum += head(h);
  return sum;
}

double ContributionMeans::VarianceOf(const ComponentId& target) const {
  const auto of_trace = [](const TraceMoments& m) { return m.count > 0 ? m.trace / m.count : 0; };
  const auto head = [&](Index h) {
    const HeadId id{target.layer, static_cast<int>(h), target.level};
    const Moments& m = At(total_.heads, basis_.components().NumberOf(id));
    if (m.count <= 0) return 0.0;
    if (m.trace) return *m.trace / m.count;
    const Matrix b = AsEigen(basis_.at(id)).cast<double>();
    return (b * b.transpose()).cwiseProduct(m.scatter).sum() / m.count;
  };
  switch (target.kind) {
    case Kind::kInput:
      return of_trace(total_.mlps.front());
    case Kind::kMlp:
    case Kind::kPoolMlp:
      return of_trace(At(total_.mlps, ResidualPartOf(target)));
    case Kind::kHead:
      return head(target.head);
    case Kind::kLayer:
      break;
  }
  double sum = 0;
  for (Index h = 0; h < basis_.num_heads(); ++h) sum += head(h);
  return sum;
}

Edit MakeMeanEdit(const StoreInfo& store, const Basis& basis, const Statistics& means,
                  std::span<const ComponentId> targets) {
  return MakeMeanEdit(store, basis, ContributionMeans(basis, means), targets);
}

Edit MakeMeanEdit(const StoreInfo& store, const Basis& basis, const ContributionMeans& means,
                  std::span<const ComponentId> targets) {
  CheckTargets(targets);
  if (means.images() == 0) {
    throw Error(ErrorCode::kPrecondition, "an edit by means of no picture");
  }
  Edit edit = EditOf(store, basis);
  edit.means_images = means.images();
  for (const ComponentId& target : targets) {
    EditComponent component;
    component.target = target;
    const Vector mean = means.Of(target);
    for (const double v : mean) component.constant.push_back(static_cast<float>(v));
    edit.components.push_back(std::move(component));
  }
  return edit;
}

Edit MakeScaleEdit(const StoreInfo& store, const Basis& basis, double scale,
                   std::span<const ComponentId> targets) {
  CheckTargets(targets);
  if (!(std::abs(scale) <= kMaxEditScale)) {
    throw Error(ErrorCode::kInvalidArgument, "an edit that scales by {}; ±{} at most", scale,
                kMaxEditScale);
  }
  Edit edit = EditOf(store, basis);
  for (const ComponentId& target : targets) {
    EditComponent component;
    component.target = target;
    component.mean = false;
    component.scale = scale;
    edit.components.push_back(std::move(component));
  }
  edit.CheckLeavesSomething();
  return edit;
}

void NormalizeRow(std::span<float> row) {
  double square = 0;
  for (const float v : row) square += static_cast<double>(v) * static_cast<double>(v);
  const double length = std::sqrt(square);
  if (!(length > kLeastEditedLength) || !std::isfinite(length)) {
    throw Error(ErrorCode::kPrecondition,
                "the edit leaves a row of length {:.1e}, which has no direction and cannot be made "
                "unit; --no-normalize gives the rows as they are",
                length);
  }
  for (float& v : row) v = static_cast<float>(static_cast<double>(v) / length);
}

}  // namespace cliplens
