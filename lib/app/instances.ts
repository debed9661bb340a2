import type { Container, Services } from './app-options.js';
import { ConfigError } from '../errors.js';
import type { Class, TaskDefinition } from '../task-definition.js';

/** The instances on which tasks run: listed ones, else the container's, else `new Class()`; one per class. */
export class Instances {
  readonly #container: Container | undefined;
  readonly #known = new Map<Class, object | Promise<object>>();

  constructor(services: Services, container: Container | undefined) {
    this.#container = container;
    for (const service of services) {
      if (typeof service === 'object') this.#known.set(service.constructor as Class, service);
    }
  }

  /** The instance for a task; asked for at its first run, and again when that failed. */
  of({ service }: TaskDefinition): object | Promise<object> {
    const known = this.#known.get(service);
    if (known !== undefined) return known;
    const made = this.#make(service);
    this.#known.set(service, made);
    made.then(
      (instance) => this.#known.set(service, instance),
      () => this.#known.delete(service),
    );
    return made;
  }

  async #make(service: Class): Promise<object> {
    const made: unknown = this.#container === undefined ? construct(service) : await this.#container.get(service);
    if (typeof made === 'object' && made !== null) return made;
    throw new ConfigError(`the container gave no instance of ${service.name}`, { service: service.name });
  }
}

const construct = (service: Class): object => Reflect.construct(service as new () => object, []);
