// The report's section on a second model: heads, labels and answers before and after.
//
//   const Store other = Store::Open("after/");
//   const ComparisonReport report = CompareStores(store, other, {}, {});
//   Print(ComparisonSection(report, /*listed=*/{}, pictures));
#pragma once

#include <set>
#include <string>

#include "cliplens/app/comparison.h"
#include "cliplens/base/component.h"
#include "cliplens/report/html_pictures.h"

namespace cliplens {

// `listed`: heads with a card on the page, to which names link; `pictures`: those of the first
// store.
std::string ComparisonSection(const ComparisonReport& report, const std::set<HeadId>& listed,
                              const PagePictures& pictures);

}  // namespace cliplens
