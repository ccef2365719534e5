#include "cliplens/base/index.h"

#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(StrideFor, IsTheLeastThatLeavesSoFew) {
  for (Index count = 0; count < 40; ++count) {
    for (Index most = 1; most < 45; ++most) {
      const Index stride = StrideFor(count, most);
      const auto left = [&](Index n) { return (count + n - 1) / n; };
      ASSERT_GE(stride, 1);
      EXPECT_LE(left(stride), most) << count << " " << most;
      if (stride == 1) continue;
      EXPECT_GT(left(stride - 1), most) << count << " " << most;
    }
  }
}

}  // namespace
}  // namespace cliplens
