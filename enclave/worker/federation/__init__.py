# SPDX-License-Identifier: Apache-2.0
"""Aggregation of sealed updates: exact, streaming, robust, private.

    updates = [Update(client, organisation, key, object_id, multiplier(clip, norm), weight,
    FileSource(path)), ...]
    noise = Noise(shape.elements, LIMIT)  # may be drawn before the close
    result = aggregate(updates, shape, Mean(), threads=2, smallest=3, noise=noise)
    finish(result.sums, result.divisor, clip=clip, rate=1.0, base=model, out=model)

One constant holds everything together: `LIMIT`, 2^26, is the clipping bound in fixed point. What a
client adds are the integers q = trunc(clamp(x * multiplier, -LIMIT, LIMIT)), and it counts only if
the sum of q^2 is at most LIMIT^2.
"""
