import { Registry, type Metric } from 'prom-client'

/**
 * Adds a histogram to a registry; `bounds` ascend. What it returns opens one series, which is told from then on, and
 * gives what adds a value to it. prom-client's own hashes its labels at each value, ten times the cost of finding the
 * bucket, and a report adds one.
 */
export function openHistogram <Label extends string = never> (
  registry: Registry, { name, help, bounds }: { name: string, help: string, bounds: readonly number[] }
): (labels: Record<Label, string>) => (value: number) => void {
  const series: { labels: Record<Label, string>, counts: number[], sum: number }[] = []
  const told = {
    name,
    async get () {
      const values = series.flatMap(({ labels, counts, sum }) => {
        let count = 0
        const upTo = [...bounds, '+Inf'].map((le, index) => {
          count += counts[index]!
          return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count }
        })
        return [...upTo, { metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: count }]
      })
      return { name, help, type: 'histogram', aggregator: 'sum', values }
    }
  }
  // All that a registry asks of a metric is its name and `get`.
  registry.registerMetric(told as unknown as Metric<Label>)
  return labels => {
    const own = { labels, counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 }
    series.push(own)
    return value => {
      let bucket = 0
      while (bucket < bounds.length && value > bounds[bucket]!) bucket++
      own.counts[bucket]!++
      own.sum += value
    }
  }
}
