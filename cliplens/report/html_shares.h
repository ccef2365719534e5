// The report's section on shares of the variance: a bar of the three kinds of components, and a map
// of layers x heads.
//
//   const std::vector<ComponentShare> shares = ComponentShares(store.statistics(), store.basis());
//   Print(SharesSection(shares, store.basis().components(), /*listed=*/{}));
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cliplens/analysis/variance.h"
#include "cliplens/base/component.h"

namespace cliplens {

// `shares` of `terms` as ComponentShares gives them. `listed`: heads with a card on the page, to
// which cells link.
std::string SharesSection(const std::vector<ComponentShare>& shares, const Components& terms,
                          const std::set<HeadId>& listed);

}  // namespace cliplens
