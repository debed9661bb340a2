/** Any method; what its parameters are is asked with `Arguments`. */
export type Method = (...args: never[]) => unknown;

/** The parameters of a method, as a tuple. */
export type Arguments<M> = M extends (...args: infer A) => unknown ? A : never;

/** A decorator for every method. */
export type TaskDecorator = <M extends Method>(
  target: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** Nothing to add when a key function of `A` can be called with the arguments of `M`; else what the compiler shows. */
type Accepts<M extends Method, A extends unknown[]> = ((...args: A) => unknown) extends (
  ...args: Arguments<M>
) => unknown
  ? unknown
  : { 'the key function does not take these arguments': Arguments<M> };

/** A decorator for the methods whose arguments a key function of `A` takes. */
export type KeyedDecorator<A extends unknown[]> = <M extends Method>(
  target: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & Accepts<M, A>,
) => void;
